"""Which privileges the user has, and the GRANT that gives those it lacks.

MySQL Reference Manual, "Privileges Provided by MySQL", "SHOW GRANTS Statement"; MariaDB docs, "GRANT".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pymysql.constants import ER

from cdc.core.errors import SourceConnectionError, SourceRefusedError
from cdc.core.table import TableId
from cdc.log import get_logger

from .connection import Connection, query
from .locks import is_locked
from .quoting import quoted, quoted_table
from .server import MySqlFacts

log = get_logger(__name__)

_TOGETHER: Final = 100
_EQUAL: Final[Mapping[str, frozenset[str]]] = {
    "REPLICATION CLIENT": frozenset({"BINLOG MONITOR", "SUPER"}),
    "REPLICATION SLAVE": frozenset({"REPLICATION REPLICA"}),
    "RELOAD": frozenset({"FLUSH_TABLES", "LOCK TABLES"}),
}
"""Privileges that suffice instead: MariaDB 10.5's new names, MySQL 8.0.23's narrower one, locks on tables."""


def check_grants(conn: Connection, facts: MySqlFacts, needed: Iterable[str]) -> None:
    """Whether the user has the global privileges *needed*. Raises SourceRefusedError, which names the missing ones and
    the GRANT that gives them. If the server does not show the grants, we assume that it has granted all."""
    lines = _grant_lines(conn, facts)
    had = global_privileges(lines)
    if any("LOCK TABLES" in line.upper().partition(" ON ")[0] for line in lines):  # on some databases is enough
        had |= {"LOCK TABLES"}
    if not lines or "ALL PRIVILEGES" in had:
        return
    missing = [name for name in needed if name not in had and not _EQUAL.get(name, frozenset()) & had]
    if missing:
        wanted = ", ".join(missing)
        raise SourceRefusedError(f"User {facts.user} lacks {wanted}.",
                                 hint=f"Run GRANT {wanted} ON *.* TO {facts.user};")


def _grant_lines(conn: Connection, facts: MySqlFacts) -> list[str]:
    """The lines of SHOW GRANTS, including those of roles in use; none if the server does not show them."""
    try:
        lines = [str(row[0]) for row in query(conn, "SHOW GRANTS")]
        if not facts.flavor.lists_roles:
            (roles,), = query(conn, "SELECT CURRENT_ROLE()")
            if roles and str(roles).upper() != "NONE":
                lines += [str(row[0]) for row in query(conn, f"SHOW GRANTS FOR CURRENT_USER() USING {roles}")]
    except SourceRefusedError as exc:
        log.warning("grants_not_readable", reason=exc.message)
        return []
    return lines


def global_privileges(lines: Iterable[str]) -> frozenset[str]:
    """The privileges on `*.*` in what SHOW GRANTS prints."""
    found: set[str] = set()
    for line in lines:
        match = re.match(r"GRANT (.+?) ON \*\.\* TO ", line, re.IGNORECASE)
        if match:
            found |= {name.strip().upper() for name in match[1].split(",")}
    return frozenset(found)


def check_select(conn: Connection, facts: MySqlFacts, ids: Sequence[TableId]) -> None:
    """Whether the user may read these tables. Raises SourceRefusedError, which names those it may not read."""
    denied: list[TableId] = []
    for first in range(0, len(ids), _TOGETHER):
        some = ids[first:first + _TOGETHER]
        if _denied(conn, some):
            denied += [id for id in some if _denied(conn, [id])]
    if denied:
        databases = sorted({id.catalog for id in denied})
        grants = " ".join(f"GRANT SELECT ON {quoted(name)}.* TO {facts.user};" for name in databases[:5])
        names = ", ".join(str(id) for id in denied[:20]) + (f" and {len(denied) - 20} more" if len(denied) > 20 else "")
        raise SourceRefusedError(f"User {facts.user} may not read {names}.", hint=f"Run {grants}")


def _denied(conn: Connection, ids: Sequence[TableId]) -> bool:
    """Whether the user may not read at least one of *ids*."""
    try:
        query(conn, " UNION ALL ".join(f"(SELECT 1 FROM {quoted_table(id)} LIMIT 0)" for id in ids))
    except SourceConnectionError as exc:
        if not is_locked(exc):  # the server looks at the grants first
            raise
    except SourceRefusedError as exc:
        if exc.context.get("errno") == ER.NO_SUCH_TABLE:
            raise SourceConnectionError("A table was dropped or renamed while the snapshot began.",
                                        tables=", ".join(map(str, ids))[:300], reason=exc.message) from exc
        if exc.context.get("errno") not in (ER.TABLEACCESS_DENIED_ERROR, ER.COLUMNACCESS_DENIED_ERROR,
                                            ER.DBACCESS_DENIED_ERROR):
            raise
        return True
    return False


def check_sees_tables(conn: Connection, facts: MySqlFacts) -> None:
    """Whether the user may read any table at all. Without a grant the server shows no tables, as if it had none. Raises
    SourceRefusedError."""
    lines = _grant_lines(conn, facts)
    if lines and not any(re.match(r"GRANT (.*, )?(SELECT|ALL PRIVILEGES)\b.* ON ", line, re.IGNORECASE)
                         for line in lines):
        raise SourceRefusedError(f"User {facts.user} may not read any table.",
                                 hint=f"Run GRANT SELECT ON *.* TO {facts.user}; or on the captured databases only.")
