"""Runs connectors: tasks, what is in flight, offsets, retries, configuration files.

Knows the interfaces of `core` and no database: what is concrete is handed in.
"""
