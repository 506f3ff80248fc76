"""The commands that ask a running worker over its REST interface: one file a group, and `client.py`, which all use.

They work with Kafka Connect's own workers too, as far as those have what a command asks for. Nothing here is imported
by `cdc run` and `cdc --help`.
"""
