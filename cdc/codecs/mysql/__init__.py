"""Reads MySQL's and MariaDB's column bytes, of the binary log and of query results, to values and to Avro bytes."""
