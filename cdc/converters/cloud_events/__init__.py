"""Debezium's CloudEvents converter: change events as CloudEvents 1.0 in structured mode, as JSON or Avro."""
