"""Debezium's contract: names, schemas, filters, mappers, and the records of a change. Pure: no protocol, no server."""
