"""`connection.url`: a JDBC URL, taken apart. Sources: PostgreSQL JDBC driver, "Connecting to the Database"; MySQL
Connector/J, "Connection URL Syntax"; sqlite-jdbc's README."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

from cdc.core.late_regex import late_regex

DIALECTS: Final = {"postgresql": "PostgreSqlDatabaseDialect", "mysql": "MySqlDatabaseDialect",
                   "mariadb": "MySqlDatabaseDialect", "sqlite": "SqliteDatabaseDialect"}
"""For each scheme behind `jdbc:` Confluent's name of its dialect."""
OF_POSTGRES: Final = {"sslmode": "sslmode", "sslrootcert": "sslrootcert", "sslcert": "sslcert", "sslkey": "sslkey",
                      "applicationname": "application_name", "connecttimeout": "connect_timeout", "options": "options"}
"""Properties of a URL of PostgreSQL that have an effect here, and libpq's name of each."""
OF_MYSQL: Final = ("sslmode", "usessl", "requiressl", "verifyservercertificate", "sslca", "servercertificate")
"""The same of MySQL and MariaDB; `mysql` reads them."""
MYSQL_MODES: Final = ("", "disabled", "disable", "preferred", "required", "trust", "verify-ca", "verify-identity",
                      "verify-full")
"""What `sslMode` can be, of Connector/J and of MariaDB's driver, in lower case."""
_SERVER: Final = late_regex(r"jdbc:(postgresql|mysql|mariadb):(?://([^/?]*)/?)?([^?]*)(?:\?(.*))?", re.DOTALL)
_HOST: Final = late_regex(r"(\[[0-9A-Fa-f:.]+\]|[^:,\[\]]*)(?::(\d{1,5}))?")
_PORTS: Final = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}


class Url(NamedTuple):
    """*scheme*: postgresql, mysql, mariadb or sqlite. *database*: SQLite's file. *properties*: by lower-case name."""

    scheme: str
    host: str
    port: int
    database: str
    properties: dict[str, str]


def parse(text: str) -> Url:
    """A JDBC URL. Raises ValueError with the reason, which does not show the URL."""
    if text.startswith("jdbc:sqlite:"):
        path = text.removeprefix("jdbc:sqlite:").partition("?")[0]
        if not path or path == ":memory:":
            raise ValueError("it names no file; write jdbc:sqlite:/path/of/the/file")
        return Url("sqlite", "", 0, path, {})
    found = _SERVER.fullmatch(text)
    if found is None:
        known = ", ".join(f"jdbc:{scheme}:" for scheme in DIALECTS)
        raise ValueError(f"it must begin with one of {known}")
    scheme, authority, database, query = found[1], found[2] or "localhost", unquote(found[3] or ""), found[4] or ""
    if "@" in authority:
        raise ValueError("write the login into connection.user and connection.password")
    if "," in authority:
        raise ValueError("write one host; several are not tried")
    host = _HOST.fullmatch(authority)
    if host is None or (host[2] and not 0 < int(host[2]) < 65536):
        raise ValueError("its host and port are not HOST:PORT")
    properties = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        properties[name.lower()] = unquote(value)
    return Url(scheme, host[1].strip("[]") or "localhost", int(host[2] or _PORTS[scheme]), database, properties)
