"""Reads PostgreSQL's column bytes, in text and binary format, to values and to Avro bytes."""
