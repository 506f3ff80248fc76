"""Confluent's Avro converter: schemas as Avro text, values as Avro bytes, and whether a registered schema fits."""
