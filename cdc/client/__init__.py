"""A worker's REST interface, from outside: cdc's own, or that of a Kafka Connect, which is the same.

`address` says where it is, `credentials` who asks, and `rest` asks.
"""
