"""The query source: rows that SELECTs find, again and again. PostgreSQL, MySQL, MariaDB and SQLite.

`options` reads Confluent's keys, `database` says what a database must do, `postgres`, `mysql` and `sqlite` do it.
`columns` turns a column's text into its Connect value. `criteria` writes the SELECT for what is new, `boundary` knows
which rows of the last timestamp were delivered, `zones` handles local times, `marks` the offsets. `table` reads one
table, and `source` reads all of them.

Keys, schemas and modes are those of Confluent's kafka-connect-jdbc, as its documentation describes them. It skips rows
where this source must not: see `boundary` and `zones`.
"""
