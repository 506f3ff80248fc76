"""Offset stores: a file, or a topic. A commit returns when the offset is durable."""
