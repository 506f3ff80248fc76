"""Real servers for the tests: PostgreSQL, MySQL, MariaDB, Kafka, Schema Registry, TCP proxy; on free loopback ports.

No Docker and no root needed. A server lives in a temp folder of its own, runs in a session of its own, and is killed by
a reaper process when the tests end, however they end. What the machine lacks is fetched once into a cache folder, by
the package clients and under package names only.

This room knows nothing of `cdc`: it starts what `cdc` is tested against, and the benchmarks use it too.
"""
