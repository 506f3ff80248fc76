"""What is looked at again while the log is read: the server's settings, the user's grants, and how long logs are kept.

None of it loses rows by itself, so all of it becomes warnings, which end when it is right again. What loses rows is an
error: where the log shows it (a change that was logged as a statement), or in `unlogged.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from cdc.core.errors import SourceRefusedError
from cdc.sources.shared.warnings import Warnings

from .checks import needed_grants
from .connection import Connection
from .errors import PURGED_HINT
from .grants import check_grants
from .options import MySqlConfig
from .server import DAY_S, MySqlFacts

_FORMAT_HINT: Final = (
    "Run SET GLOBAL binlog_format = 'ROW' and have the clients connect again. A change of a captured table that is"
    " logged as a statement ends the stream, and needs a new snapshot."
)
_KEEP_HINT: Final = "Keep logs longer (binlog_expire_logs_seconds), and find out why the connector is behind."

Found = dict[str, dict[str, tuple[str, str]]]
"""By kind of warning, and by what they are about: a text and a hint."""


def show_settings(warnings: Warnings, facts: MySqlFacts, config: MySqlConfig, began: MySqlFacts) -> None:
    """*began*: what the server said at the start."""
    for kind, found in _settings(facts, config, began).items():
        warnings.show(kind, found)


def _settings(facts: MySqlFacts, config: MySqlConfig, began: MySqlFacts) -> Found:
    found: Found = {kind: {} for kind in (
        "binlog_format_not_row", "binlog_row_image_not_full", "binlog_kept_briefly", "statements_not_logged",
        "gtid_mode_in_transition", "gtid_mode_changed")}
    if facts.binlog_format != "ROW":
        found["binlog_format_not_row"]["binlog_format"] = (
            f"binlog_format is {facts.binlog_format}: sessions that begin now log statements instead of rows",
            _FORMAT_HINT)
    if facts.row_image != "FULL":
        found["binlog_row_image_not_full"]["binlog_row_image"] = (
            f"binlog_row_image is {facts.row_image}: rows in the log lack columns",
            "Set binlog_row_image=FULL, also in the sessions that are open.")
    if facts.expire_s is not None and 0 < facts.expire_s < DAY_S:
        found["binlog_kept_briefly"]["binlog_expire_logs_seconds"] = (
            f"the server keeps logs for {facts.expire_s} s: a longer stop of the connector needs a new snapshot",
            "Set binlog_expire_logs_seconds to several days.")
    if config.include_query and not facts.logs_statements:
        found["statements_not_logged"][facts.flavor.query_setting] = (
            f"{facts.flavor.query_setting} is OFF: source.query is null", f"Set {facts.flavor.query_setting}=ON.")
    if facts.gtid_mode not in (None, "ON", "OFF"):
        found["gtid_mode_in_transition"]["gtid_mode"] = (
            f"gtid_mode is {facts.gtid_mode}: transactions with and without GTIDs are mixed", "")
    if facts.gtid_mode != began.gtid_mode:
        found["gtid_mode_changed"]["gtid_mode"] = (
            f"gtid_mode is {facts.gtid_mode}, and was {began.gtid_mode} when the stream began",
            "The connector goes on. Restart it once all transactions are of one kind, so that its position is, too.")
    return found


def show_grants(warnings: Warnings, conn: Connection, facts: MySqlFacts, config: MySqlConfig) -> None:
    """Grants that a restart would need."""
    lost: dict[str, tuple[str, str]] = {}
    try:
        check_grants(conn, facts, needed_grants(facts, config))
    except SourceRefusedError as exc:
        lost[facts.user] = f"{exc.message} The stream goes on until its connection ends", exc.hint
    warnings.show("grants_lost", lost)


def show_logs(warnings: Warnings, logs: Sequence[str], place: tuple[str, int], read_until_s: int,
              facts: MySqlFacts, now_s: float) -> None:
    """Whether the server will soon remove the *logs* from the stored position *place* on, or has. *read_until_s*: the
    time of the last event before it, 0 if unknown."""
    file, _ = place
    soon: dict[str, tuple[str, str]] = {}
    behind_s = now_s - read_until_s if read_until_s else 0
    if file not in logs:
        soon[file] = (f"the server has removed {file}, which the stored position is in: a restart may be refused",
                      PURGED_HINT)
    elif file != logs[-1] and facts.expire_s and behind_s > facts.expire_s / 2:
        soon[file] = (f"the stored position in {file} is {behind_s:.0f} s old, and the server removes logs after"
                      f" {facts.expire_s} s", _KEEP_HINT)
    warnings.show("log_expires", soon)


def lag_bytes(sizes: Mapping[str, int], place: tuple[str, int]) -> int | None:
    """How much log there is behind *place*, by files in order; None if its file is gone."""
    file, pos = place
    names = list(sizes)
    if file not in sizes:
        return None
    return max(0, sum(sizes[name] for name in names[names.index(file):]) - pos)
