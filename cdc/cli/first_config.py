"""The configuration that `cdc init` makes from a database URL."""

from __future__ import annotations

import re
import textwrap
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from cdc.core.errors import CdcError, ConfigError
from cdc.core.late_regex import late_regex

_KINDS: Final[Mapping[str, tuple[str, int]]] = {
    "postgresql": ("io.debezium.connector.postgresql.PostgresConnector", 5432),
    "postgres": ("io.debezium.connector.postgresql.PostgresConnector", 5432),
    "mysql": ("io.debezium.connector.mysql.MySqlConnector", 3306),
    "mariadb": ("io.debezium.connector.mariadb.MariaDbConnector", 3306),
}
_PARAMETERS: Final = {"sslmode": "database.sslmode", "sslrootcert": "database.sslrootcert",
                      "sslcert": "database.sslcert", "sslkey": "database.sslkey"}
"""Parameters of libpq's URLs, and their keys."""
_MOST_TABLES: Final = 50
_SPECIAL: Final = late_regex(r"[\\^$|?*+()\[\]{}]")


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A database URL, taken apart. *left_out* are parameters that have no key here."""

    kind: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    settings: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def is_postgres(self) -> bool:
        return self.kind == "postgresql"

    @property
    def shown(self) -> str:
        """The URL without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind}://{self.user}@{host}:{self.port}/{self.database}"


def parse_url(text: str) -> DatabaseUrl:
    """*text*, `postgresql://user:password@host:port/database` or that of MySQL or MariaDB. Raises ConfigError, without
    the password."""
    try:
        parts = urlsplit(text.strip().removeprefix("jdbc:"))
        port = parts.port
    except ValueError:
        raise _wrong("its port is no number, or a bracket is missing") from None
    kind, _, driver = parts.scheme.partition("+")  # SQLAlchemy writes postgresql+psycopg
    if kind not in _KINDS:
        raise _wrong(f"it begins with {kind or 'nothing'}{'+' if driver else ''}")
    if not parts.hostname:
        raise _wrong("it has no host")
    database = unquote(parts.path.strip("/"))
    if not parts.username:
        raise _wrong("it has no user")
    if not database or "/" in database:
        raise _wrong("it has no database")
    kind = "postgresql" if kind == "postgres" else kind
    given = parse_qsl(parts.query)
    known = tuple((_PARAMETERS[name], value) for name, value in given if kind == "postgresql" and name in _PARAMETERS)
    left_out = tuple(name for name, _ in given if kind != "postgresql" or name not in _PARAMETERS)
    return DatabaseUrl(kind, parts.hostname, port or _KINDS[kind][1], unquote(parts.username),
                       unquote(parts.password or ""), database, known, left_out)


def _wrong(why: str) -> ConfigError:
    return ConfigError(f"The URL cannot be read: {why}.",
                       hint="It looks like postgresql://user@host:5432/database, mysql://… or mariadb://….")


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at the server has found. *server* is empty if nobody looked; *why* says why not."""

    server: str = ""
    why: str = ""
    tables: tuple[str, ...] = ()
    problems: tuple[CdcError, ...] = ()
    notes: tuple[str, ...] = ()


def written(url: DatabaseUrl, name: str, variable: str, bootstrap: str, registry: str, found: Found) -> str:
    """The configuration as properties with comments. *variable* is the one of the environment with the password;
    *registry* is a Schema Registry's URL, or empty for JSON."""
    return "\n".join((*_head(url, found), *_worker(name, bootstrap, registry), *_connector(url, name, variable),
                      *_tables(url, found), *_of_database(url, name))) + "\n"


def _head(url: DatabaseUrl, found: Found) -> Iterator[str]:
    yield from _comment(f"Made by `cdc init` for {url.shown}" + (f", {found.server}." if found.server else "."))
    yield from _comment("Next: cdc run --dry-run FILE, then cdc run FILE. What a key means: cdc config explain KEY.")
    if found.why:
        yield from _comment(f"The server was not looked at: {found.why}")
    if found.problems:
        yield "#"
        yield from _comment("To be changed on the server before the connector can run:")
        for each in found.problems:
            yield from _comment(f"{each.message} {each.hint}".strip(), "  - ")
    if found.notes:
        yield "#"
        yield from _comment("Good to know:")
        for note in found.notes:
            yield from _comment(note, "  - ")


def _worker(name: str, bootstrap: str, registry: str) -> Iterator[str]:
    yield "\n# The worker: where events go, and the file that keeps how far it is. Without the file, all begins again."
    yield _property("bootstrap.servers", bootstrap)
    yield _property("offset.storage.file.filename", f"{name}.offsets")
    if registry:
        for role in ("key", "value"):
            yield _property(f"{role}.converter", "io.confluent.connect.avro.AvroConverter")
            yield _property(f"{role}.converter.schema.registry.url", registry)
    else:
        yield "# Events are JSON with their schemas; false leaves these out. With a Schema Registry, Avro is smaller:"
        yield "#   key.converter=io.confluent.connect.avro.AvroConverter"
        yield "#   key.converter.schema.registry.url=http://registry:8081    (and the same two for value.converter)"
        yield _property("key.converter", "org.apache.kafka.connect.json.JsonConverter")
        yield _property("value.converter", "org.apache.kafka.connect.json.JsonConverter")
        yield _property("value.converter.schemas.enable", "true")
    yield "# Metrics, probes and the REST interface."
    yield _property("listeners", "http://127.0.0.1:8083")


def _connector(url: DatabaseUrl, name: str, variable: str) -> Iterator[str]:
    yield "\n# The connector. Keep its name: offsets are stored under it."
    yield _property("name", name)
    yield _property("connector.class", _KINDS[url.kind][0])
    yield _property("database.hostname", url.host)
    yield _property("database.port", str(url.port))
    yield _property("database.user", url.user)
    yield f"# The password is not in this file, but in a variable: export {variable}=…"
    yield _property("database.password", f"${{env:{variable}}}")
    for key, text in url.settings:
        yield _property(key, text)
    if url.left_out:
        yield from _comment(f"These parameters of the URL have no key here: {', '.join(url.left_out)}.")
    yield "# First part of every topic's name, as in PREFIX.schema.table."
    yield _property("topic.prefix", name)


def _tables(url: DatabaseUrl, found: Found) -> Iterator[str]:
    if url.is_postgres:
        yield _property("database.dbname", url.database)
    else:
        yield _property("database.include.list", _regex(url.database))
    example = "public.orders" if url.is_postgres else f"{url.database}.orders"
    yield "\n# The tables to capture: regular expressions for whole names, separated by commas. Without it, all are."
    tables = found.tables
    if not tables or len(tables) > _MOST_TABLES:
        if tables:
            yield f"# There are {len(tables)} tables."
        yield f"#table.include.list={example}"
        return
    lines = ",\\\n  ".join(_escaped(_regex(each)) for each in tables)
    yield f"table.include.list={lines}"


def _of_database(url: DatabaseUrl, name: str) -> Iterator[str]:
    yield "\n# initial copies all rows first; no_data begins with the changes from now on."
    yield _property("snapshot.mode", "initial")
    if url.is_postgres:
        word = re.sub(r"[^a-z0-9_]", "_", name.lower())[:50]
        yield "# The replication slot and the publication in the database; they are made if they do not exist."
        yield _property("plugin.name", "pgoutput")
        yield _property("slot.name", f"cdc_{word}")
        yield _property("publication.name", f"cdc_{word}")
        yield "# filtered publishes the tables above; all_tables needs a superuser, disabled a publication that exists."
        yield _property("publication.autocreate.mode", "filtered")
        return
    number = 100_000_000 + zlib.crc32(f"{name}@{url.host}:{url.port}".encode()) % 900_000_000
    yield "# No other server, replica or connector may have this number."
    yield _property("database.server.id", str(number))


def _property(key: str, text: str) -> str:
    return f"{key}={_escaped(text)}"


def _escaped(text: str) -> str:
    """*text* as a value in a properties file (`java.util.Properties`)."""
    text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"\\{text}" if text[:1] in (" ", "\t") else text


def _regex(name: str) -> str:
    """A regular expression for *name*. Dots stay, as people write them; an escaped comma separates nothing."""
    return _SPECIAL.sub(r"\\\g<0>", name).replace(",", "\\,")


def _comment(text: str, first: str = "") -> Iterator[str]:
    wrapped: Iterable[str] = textwrap.wrap("".join(char if char.isprintable() else " " for char in text), 96,
                                           initial_indent=first, subsequent_indent=" " * len(first),
                                           break_long_words=False, break_on_hyphens=False)
    return (f"# {line}" for line in wrapped)
