"""Connectors that configurations name and this service does not have: what they are, and what to use here."""

from __future__ import annotations

import re
from typing import Final

_MANAGED: Final = "is a managed connector of Confluent Cloud. Its keys are not Debezium's: take over the connection, "
_KNOWN: Final = (  # compiled when they are needed, which is seldom
    (r"(.*\.)?Postgres(Sql)?CdcSource(V2)?(Connector)?", f"{_MANAGED}topic.prefix and the lists of tables into a"
                                                        " configuration of PostgresConnector."),
    (r"(.*\.)?My(Sql)?(Sql)?CdcSource(V2)?(Connector)?", f"{_MANAGED}topic.prefix and the lists of tables into a"
                                                        " configuration of MySqlConnector."),
    (r"(.*\.)?SqlServer(Connector|CdcSource.*)", "captures Microsoft SQL Server."),
    (r"(.*\.)?Oracle(Connector|CdcSource.*)", "captures Oracle."),
    (r"(.*\.)?MongoDb(Connector|CdcSource.*)|com\.mongodb\.kafka\.connect\.MongoSourceConnector", "captures MongoDB."),
    (r"(.*\.)?Db2(As400)?(Rpc)?Connector", "captures IBM Db2."),
    (r"(.*\.)?(Informix|Cassandra|Cassandra4|Vitess|Spanner|CockroachDB|Yugabyte\w*)Connector",
     "captures another database."),
    (r"(.*\.)?Mirror(Source|Checkpoint|Heartbeat)Connector", "is a part of MirrorMaker and copies topics."),
    (r"(.*\.)?(FileStreamSource|VerifiableSource|MockSource)(Connector)?",
     "makes or reads test data; DatagenConnector makes rows from a schema."),
    (r".*Sink(Connector)?", "is a sink connector, and here are sources only. Run it in Kafka Connect, on the topics"
                            " that this service fills."),
)  # fmt: skip


def about(class_name: str) -> str:
    """What the connector *class_name* is, as the end of a sentence that begins with its name; empty if unknown."""
    name = class_name.strip()
    return next((text for pattern, text in _KNOWN if re.fullmatch(pattern, name, re.IGNORECASE)), "")
