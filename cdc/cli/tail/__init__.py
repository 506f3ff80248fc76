"""`cdc tail`: prints the events of a running pipeline, or of a topic.

A pipeline is asked over HTTP (`/tail`, server-sent events). A topic is read by a consumer in a group of its own that
commits nothing; Avro is decoded with the schemas of a Schema Registry.
"""
