"""Confluent's JSON Schema converter: Connect schemas as JSON Schema text, and whether a registered schema fits."""
