"""MySQL and MariaDB: a binary log, decoded here, as records.

`source.py` is the door. `binlog.py`, `rows.py`, `gtid.py`, `ddl.py` and `changes.py` turn bytes and statements into
records without I/O; `transport.py`, `snapshot.py`, `server.py` and `catalog.py` talk to the server.
"""
