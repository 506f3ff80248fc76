"""PostgreSQL: a logical replication slot, decoded by pgoutput, as records.

`source.py` is the door. `protocol.py`, `changes.py` and `copytext.py` turn bytes into records without I/O;
`replication.py`, `snapshot.py`, `server.py`, `publication.py` and `catalog.py` talk to the server.
"""
