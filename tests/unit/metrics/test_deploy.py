"""Dashboards and alerts are made from the catalogue, and what deploy/ has is what is made."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from cdc import docs
from cdc.metrics import connect, debezium
from cdc.metrics.__main__ import files
from cdc.metrics.alerts import ALERTS
from cdc.metrics.catalogue import OWN
from cdc.metrics.dashboards import BOARDS, Board
from cdc.metrics.grafana import dashboard

DEPLOY = Path(__file__).parents[3] / "deploy"
NAME = re.compile(r"\b(?:cdc|debezium_metrics|kafka|process|python)_\w+")
OF_THE_PROCESS = ("process_", "python_")
KNOWN = {metric.name for metric in OWN} | set(debezium.METRICS) | set(connect.METRICS)


def unknown(expression: str) -> list[str]:
    names = NAME.findall(re.sub(r'"[^"]*"', "", expression))
    return [name for name in names if re.sub(r"_(bucket|sum|count)$", "", name) not in KNOWN and name not in KNOWN
            and not name.startswith(OF_THE_PROCESS)]


@pytest.mark.parametrize(("name", "text"), list(files()), ids=lambda value: value if len(value) < 60 else "")
def test_files_are_current(name: str, text: str) -> None:
    assert (DEPLOY / name).read_text(encoding="utf-8") == text, "run python -m cdc.metrics deploy"


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_panels_ask_for_metrics_that_there_are(board: Board) -> None:
    queries = [query for _, panels in board.rows for panel in panels for query, _ in panel.queries]
    assert queries
    assert [name for query in queries for name in unknown(query)] == []


def test_alerts_ask_for_metrics_that_there_are() -> None:
    assert [name for alert in ALERTS for name in unknown(alert.expression)] == []


def test_each_alert_has_a_section_that_says_what_to_do() -> None:
    page = docs.read("alerts")
    headings = re.findall(r"^## (\w+)$", page, re.MULTILINE)
    assert headings == [alert.name for alert in ALERTS]
    assert all(len(docs.section(page, name).split()) > 15 for name in headings)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_panels_do_not_overlap(board: Board) -> None:
    cells: set[tuple[int, int]] = set()
    for panel in dashboard(board)["panels"]:
        place = panel["gridPos"]
        own = set(itertools.product(range(place["x"], place["x"] + place["w"]),
                                    range(place["y"], place["y"] + place["h"])))
        assert max(x for x, _ in own) < 24
        assert not own & cells, panel["title"]
        cells |= own


def test_uids_and_titles_are_unique() -> None:
    assert len({board.uid for board in BOARDS}) == len({board.title for board in BOARDS}) == len(BOARDS)
