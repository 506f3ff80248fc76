"""Records to bytes: converters, as Kafka Connect calls them, and the Schema Registry that gives them schema ids.

`records.py` is the front door for a task; `plan.py` compiles a table's shape once. `avro/`, `json_schema/`,
`protobuf/`, `json.py` and `simple.py` each turn a Connect value and its schema into bytes, byte for byte as the Java
converters of the same names do. `registry/` is what the first three ask for schema ids, `apicurio/` writes Apicurio's
own ids, and `cloud_events/` puts change events into CloudEvents.

This room knows schemas, rows and topics' names. It must not know which database they came from, which sink
delivers the bytes, how often something is retried (an error says whether it may be), nor any offset or position.
"""
