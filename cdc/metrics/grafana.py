"""A `dashboards.Board` as Grafana's JSON (Grafana docs, "Dashboard JSON model")."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from .dashboards import Board, Panel

_COLUMNS: Final = 24
_WIDTH: Final = 6
_HEIGHT: Final = 8
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_PLUGIN: Final = {"timeseries": "timeseries", "stat": "stat", "table": "table", "state": "stat"}
_ANNOTATIONS: Final = (
    ("Starts of tasks", 'increase(cdc_task_starts_total{connector=~"$connector"}[1m]) > 0', "orange"),
    ("New structures of tables", 'increase(cdc_table_structures_total{connector=~"$connector"}[1m]) > 0', "blue"),
    ("Snapshots", 'cdc_task_state{connector=~"$connector",state="snapshotting"} == 1', "purple"),
)


def dashboard(board: Board) -> dict[str, Any]:
    """Import it as it is, or provision it from a file."""
    return {
        "uid": board.uid, "title": board.title, "tags": ["cdc"], "schemaVersion": 39, "version": 1, "editable": True,
        "refresh": "10s", "time": {"from": "now-1h", "to": "now"}, "timezone": "browser", "graphTooltip": 1,
        "templating": {"list": list(_variables(board))},
        "annotations": {"list": [_annotation(*each) for each in _ANNOTATIONS]},
        "links": [{"type": "dashboards", "tags": ["cdc"], "asDropdown": False, "keepTime": True, "includeVars": True,
                   "title": "cdc", "icon": "external link"}],
        "panels": list(_panels(board)),
    }


def _variables(board: Board) -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Source", "type": "datasource", "query": "prometheus", "current": {}}
    yield _variable("connector", "label_values(cdc_task_state, connector)")
    if board.has_tables:
        yield _variable("table", 'label_values(cdc_events_total{connector=~"$connector"}, table)')
    yield _variable("job", "label_values(cdc_info, job)")


def _variable(name: str, query: str) -> dict[str, Any]:
    return {"name": name, "type": "query", "datasource": _SOURCE, "query": {"query": query, "refId": name},
            "definition": query, "includeAll": True, "multi": True, "allValue": ".*", "refresh": 2, "sort": 1,
            "current": {"text": "All", "value": "$__all"}}


def _annotation(name: str, expression: str, color: str) -> dict[str, Any]:
    return {"name": name, "datasource": _SOURCE, "enable": True, "expr": expression, "iconColor": color, "step": "60s",
            "titleFormat": name, "textFormat": "{{connector}}"}


def _panels(board: Board) -> Iterator[dict[str, Any]]:
    number = y = 0
    for heading, panels in board.rows:
        number += 1
        yield {"id": number, "type": "row", "title": heading, "collapsed": False, "panels": [],
               "gridPos": {"x": 0, "y": y, "w": _COLUMNS, "h": 1}}
        y += 1
        x = 0
        for panel in panels:
            width = 2 * _WIDTH if panel.wide else _WIDTH
            if x + width > _COLUMNS:
                x, y = 0, y + _HEIGHT
            number += 1
            yield _panel(panel, number, {"x": x, "y": y, "w": width, "h": _HEIGHT})
            x += width
        y += _HEIGHT


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    instant = panel.kind == "table"
    targets = [{"refId": chr(65 + index), "datasource": _SOURCE, "expr": expression, "legendFormat": legend,
                "instant": instant, "range": not instant, "format": "table" if instant else "time_series"}
               for index, (expression, legend) in enumerate(panel.queries)]
    empty = f" Nothing is shown when {panel.empty}." if panel.empty else ""
    found: dict[str, Any] = {
        "id": number, "type": _PLUGIN[panel.kind], "title": panel.title, "gridPos": place, "datasource": _SOURCE,
        "description": (panel.doc + empty).strip(), "targets": targets, "options": _options(panel),
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "thresholds": _thresholds(panel),
                                     "noValue": panel.empty or "no data",
                                     "color": {"mode": "thresholds" if panel.kind == "stat" else "palette-classic"}},
                        "overrides": []},
    }
    if instant:
        found["transformations"] = [{"id": "organize", "options": {"excludeByName": {
            "Time": True, "__name__": True, "instance": True, "job": True, "task": True}}}]
    return found


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "timeseries":
        return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    if panel.kind == "table":
        return {"showHeader": True}
    return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area",
            "textMode": "name" if panel.kind == "state" else "value_and_name"}


def _thresholds(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    steps += [{"color": color, "value": value} for color, value in (("orange", panel.warn), ("red", panel.alarm))
              if value is not None]
    return {"mode": "absolute", "steps": steps}
