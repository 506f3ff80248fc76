"""Records to bytes: what Kafka Connect calls converters, and the Schema Registry they ask for schema ids.

`records.py` is the front door for a task; `plan.py` compiles a table's shape once. `avro.py` (with `avro_schema.py`,
`avro_layout.py` and `registry.py`), `json.py` and `simple.py` each turn a Connect value and its schema into bytes,
byte for byte as the Java converters of the same names do.

This room knows schemas, rows and topics' names. It must not know which database they came from, what delivers the
bytes, how often something is tried again (an error says whether it may be), nor any offset or position.
"""
