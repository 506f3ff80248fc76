"""The datagen source: mock rows from a schema, without a database.

`options` reads the configuration, `avro` and `json_schema` turn a schema into the `values.Node` that makes its values,
`randoms` and `regexes` are where these come from, and `source` sends them. `quickstarts/` holds the named schemas.

The keys, the `arg.properties` and the offsets are those of Confluent's kafka-connect-datagen and avro-random-generator
(both under the Apache licence 2.0). The named schemas have the names, fields, types and ranges of Confluent's; the
sample values in them are our own.
"""
