"""Connection settings as libpq understands them: hosts, and what a configuration sets for the JDBC driver."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo

from cdc.config.options import Option
from cdc.config.table import Parsed
from cdc.core.late_regex import late_regex
from cdc.sources.shared.accepted_options import JDBC
from cdc.sources.shared.parsing import refuse_key_stores

_PGJDBC_TO_LIBPQ: Final = {
    "ApplicationName": "application_name",
    "connectTimeout": "connect_timeout",
    "options": "options",
    "channelBinding": "channel_binding",
    "gssEncMode": "gssencmode",
    "kerberosServerName": "krbsrvname",
    "requireAuth": "require_auth",
    "sslNegotiation": "sslnegotiation",
    "sslmode": "sslmode",
    "sslcert": "sslcert",
    "sslkey": "sslkey",
    "sslpassword": "sslpassword",
    "sslrootcert": "sslrootcert",
    "targetServerType": "target_session_attrs",
}
"""Connection properties of the JDBC driver ("Connection Parameters") that libpq has as well, and its names for them."""

_TARGETS: Final = {
    "any": "any", "primary": "primary", "master": "primary", "secondary": "standby", "slave": "standby",
    "prefersecondary": "prefer-standby", "preferslave": "prefer-standby", "preferprimary": "any",
}

DATABASE_PROPERTIES: Final = Option(
    key="database.<jdbc property>", pattern=late_regex(rf"database\.({'|'.join(_PGJDBC_TO_LIBPQ)})"),
    doc="Connection properties of the JDBC driver that libpq has as well.",
)


def split_hosts(text: str, port: int) -> list[tuple[str, int]]:
    """The hosts and ports of `database.hostname`: `host[:port]` items with *port* as default. IPv6 addresses may be in
    brackets; paths stay as they are. Raises ValueError."""
    found = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        bracketed = re.fullmatch(r"\[([0-9a-fA-F:.%\w]+)\](?::(\d{1,5}))?", item)
        plain = re.fullmatch(r"([^:/\[\]]+):(\d{1,5})", item)
        match = bracketed or plain
        found.append((match[1], int(match[2] or port)) if match else (item, port))
    if not found or any(not 0 < number < 65536 for _, number in found):
        raise ValueError("it must be a host, or several as host:port,host:port")
    return found


def check_connection(parsed: Parsed, config: Mapping[str, str]) -> None:
    """Problems for hosts, key files and driver settings that libpq cannot read."""
    values = parsed.values
    if values["database_hostname"] and values["database_port"]:
        try:
            split_hosts(values["database_hostname"], values["database_port"])
        except ValueError as exc:
            parsed.problem("database.hostname", f"{exc}.")
    refuse_key_stores(parsed, ("database.sslkey", "database.sslcert"), "Convert it with: openssl pkcs12 -nodes.")
    try:
        make_conninfo("", **dict(values["driver"]))
    except ProgrammingError:
        parsed.problem("driver.*", "libpq cannot read these values as a connection string.")


def read_driver(parsed: Parsed, config: Mapping[str, str]) -> None:
    """Sets `driver`: the JDBC properties that libpq has too, by its names. The others are noted."""
    found = []
    for match, text in parsed.families["driver.*"] + parsed.families[DATABASE_PROPERTIES.key]:
        name = _PGJDBC_TO_LIBPQ.get(match[1])
        if name is None:
            parsed.note(match[0], f"accepted, without effect here: {JDBC}.", "inert")
        elif name != "target_session_attrs":
            found.append((name, text))
        elif text.lower() in _TARGETS:
            found.append((name, _TARGETS[text.lower()]))
        else:
            allowed = "any, primary, secondary, preferSecondary, preferPrimary"
            parsed.problem(match[0], f'"{text}" is not valid: allowed: {allowed}.')
    parsed.values["driver"] = tuple(found)
