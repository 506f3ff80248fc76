"""PostgreSQL: a logical replication slot, decoded by pgoutput, as records.

`source.py` is the door. `protocol.py`, `changes.py`, `in_progress.py` and `copytext.py` turn bytes into records without
I/O. `connection.py` opens connections; `replication.py`, `snapshot.py`, `catalog.py`, `lookup.py`, `publication.py`,
`slots.py`, `server.py` and `checks.py` ask the server. `python -m cdc.sources.postgres` prints a captured stream.
"""
