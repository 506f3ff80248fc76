"""MySQL and MariaDB: the binary log, decoded here, as records. What differs between the two is in `flavor.py`.

`source.py` is the door. `binlog/` (events), `ddl/` (statements) and `changes.py` with its parts turn the log into
records without I/O. `connection.py`, `server.py`, `grants.py`, `catalog.py`, `snapshot.py` and `transport.py` talk to
the server. This room must not know another database, converters or Kafka.
"""
