"""Apicurio Registry's converters, Avro and ExtJson: its own ids, over its own interface."""
