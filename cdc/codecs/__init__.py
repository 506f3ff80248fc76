"""Column bytes to values, and column bytes to Avro bytes: pure functions, one file for each family of wire formats.

It knows Connect schemas, but neither the origin nor the destination of the bytes: no connection, no table, no clock.
"""
