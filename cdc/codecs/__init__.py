"""Column bytes to values, and column bytes to Avro bytes: pure functions, one file for each family of wire formats.

Knows Connect schemas and nothing of where the bytes came from or where they go: no connection, no table, no clock.
"""
