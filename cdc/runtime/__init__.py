"""Runs connectors: the task's loop, acks and commits, retries, and which configuration key belongs to whom.

It knows the interfaces of `core`, and no database, sink, converter or Kafka client: those are handed in.
"""
