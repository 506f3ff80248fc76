"""Keys that limit what is captured or shown: include and exclude lists, masks, cuts.

A connector that ignores such a key because it is old, misspelt or another database's publishes what it was told to
keep back. So an unknown key that looks like one is an error, and everything else unknown is a remark.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from functools import lru_cache
from typing import Final

from cdc.core.late_regex import late_regex

_WORDS: Final = (
    "include", "includes", "included", "includelist", "exclude", "excludes", "excluded", "excludelist", "whitelist",
    "blacklist", "allowlist", "denylist", "mask", "masked", "truncate", "salt", "filter", "filters",
)
_LONG_WORDS: Final = tuple(word for word in _WORDS if len(word) >= 6 and not word.startswith("filter"))
_BARE: Final = late_regex(
    r"(table|column|schema|database|collection|field)s?(\.(lists?|regex|patterns?|names?))?|database\.dbname")
_MORE: Final = ("skipped.operations", "skip.messages.without.change", "snapshot.select.statement.overrides")
_ADDS: Final = late_regex(r"include\.(schema|query|unknown|transaction|before|source)\b.*|errors\..*")
"""Here `include` is a verb: such a key adds something to events, and leaving it out publishes no more rows."""
_SIMILAR: Final = 0.8

_INCLUDE: Final = late_regex(r"(white|allow|include)\.?list|\bincludes?(?!\.list|\.collection)$")
_EXCLUDE: Final = late_regex(r"(black|deny|exclude)\.?list|\bexcludes?(?!\.list)$")
_OTHER_WORDS: Final = {"collection": "table", "collections": "table", "tables": "table", "field": "column",
                       "fields": "column", "columns": "column", "schemas": "schema", "databases": "database"}
_SWAPPED: Final = {"schema": "database", "database": "schema"}
_SUBJECTS: Final = ("message", "gtid", "log", "schema", "database")


@lru_cache(maxsize=4096)  # the known keys are asked for again with each unknown one
def limits_capture(key: str) -> bool:
    """Whether *key* is, or looks like, one that limits what is captured or shown."""
    lowered = _plain(key)
    if _ADDS.fullmatch(lowered):
        return False
    if _BARE.fullmatch(lowered) or lowered in _MORE:
        return True
    return any(part in _WORDS or difflib.get_close_matches(part, _LONG_WORDS, n=1, cutoff=_SIMILAR)
               for part in lowered.split("."))


def similar_limit(key: str, known: Collection[str]) -> str | None:
    """The one of the *known* keys that limit capture which *key* is a misspelling of."""
    plain = re.sub(r"\.\d+\.", ".<n>.", _plain(key))
    found = difflib.get_close_matches(plain, [each for each in known if limits_capture(each)], n=1, cutoff=_SIMILAR)
    return found[0] if found else None


def right_limit(key: str, known: Collection[str]) -> str | None:
    """The one of the *known* keys that does what *key* was meant to do; None if there is none."""
    candidates = [each for each in known if limits_capture(each)]
    first, _, rest = _plain(key).partition(".")
    first = _OTHER_WORDS.get(first, first)
    plain = re.sub(r"\.\d+\.", ".<n>.", f"{first}.{rest}" if rest else first)
    plain = _EXCLUDE.sub("exclude.list", _INCLUDE.sub("include.list", plain))
    if plain in candidates:
        return plain
    swapped = f"{_SWAPPED[first]}{plain.removeprefix(first)}" if first in _SWAPPED else ""
    if swapped in candidates:
        return swapped
    if first in _SUBJECTS and not any(each.startswith(f"{first}.") for each in candidates):
        return None
    found = difflib.get_close_matches(plain, candidates, n=1, cutoff=0.5)
    return found[0] if found else None


def _plain(key: str) -> str:
    """*key* in lower case, its parts separated by dots, without the prefix that Debezium Server wants."""
    return re.sub(r"[_\-\s]+", ".", key.strip().lower()).removeprefix("debezium.source.")
