"""Confluent's Protobuf converter: Connect schemas as `.proto` text, values as Protobuf bytes, and whether a registered
schema fits."""
