"""Plain English: no phrase that a reader must read twice, in code, comments, messages and documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TICS = {
    r"anew": "again",
    r"(?:is|are|was|were) met": "say who finds or sees it",
    r"t(?:old|ell|ells) apart": "distinguished; has its own kind",
    r"what there is": "name the thing",
    r"behind us": "already read, already delivered",
    r"in hand": "collected, not yet sent",
    r"without a word": "silently",
    r"of now|of then": "current, at that time",
    r"nobody knows": "unknown",
    r"(?:to|can|could|must) be had": "available, needed",
    r"one and all": "all",
    r"makes? out": "recognises",
    r"by the million": "millions of",
    r"made no more|not any more|no more of": "no longer",
    r"come to its (?:begin|end)": "begin, end",
    r"but for (?!\{)": "except",
    r"t(?:old|ell|ells) of": "sends, records, describes",
    r"lets? go of": "close, release",
    r"goes? by \*": "is called",
    r"for ever": "forever",
    r"by way of": "through",
    r"taken? for": "treated as, counts as",
    r"for want of": "because … is missing",
    r"thought better of": "cancelled",
}
"""Phrases of earlier texts that non-native readers stumble over, and what to say instead."""

PATTERNS = {re.compile(rf"\b(?:{phrase})(?!\w)", re.IGNORECASE): better for phrase, better in TICS.items()}
NEW_LINE = re.compile(r"[ \t]*\n[ \t]*(?:#|--|\*)?[ \t]*")


def texts() -> list[Path]:
    files = [*(ROOT / "cdc").rglob("*.py"), *(ROOT / "cdc").rglob("*.md"), *(ROOT / "cdc").rglob("*.sql"),
             *(ROOT / "sql").glob("*.sql"), *(ROOT / ".github").glob("*.md"), ROOT / "README.md"]
    return sorted(files)


def found(text: str) -> list[str]:
    """Each phrase with the words around it, and what to say instead. A phrase may be broken over two lines."""
    flat = NEW_LINE.sub(" ", text)
    return [f"{flat[max(0, hit.start() - 30):hit.end() + 30]} [better: {better}]"
            for pattern, better in PATTERNS.items() for hit in pattern.finditer(flat)]


@pytest.mark.parametrize("path", texts(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_texts_are_plain_english(path: Path) -> None:
    assert found(path.read_text(encoding="utf-8")) == []


def test_a_phrase_is_found_over_a_line_break() -> None:
    assert len(found("# this is\n    # met, and Nobody knows\n    # why it is made\n    # anew")) == 3
    assert found("the metre, isomet, manewfoo") == []
