"""Draws a dashboard as Grafana would show it, from a real Prometheus over real runs.

    pip install matplotlib; python -m tests.pictures.dashboard cdc-overview cdc/docs/overview.png [--seconds 180]

A PostgreSQL and a MySQL connector stream a changing load; for a while Kafka is stopped.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from cdc.metrics.dashboards import BOARDS, Board, Panel
from tests.conftest import BinlogDatabase, Database
from tests.fault.items import BinlogItems, Items, PostgresItems
from tests.fault.pipeline import Pipeline
from tests.servers.kafka import KafkaServer
from tests.servers.mysql import MySqlServer
from tests.servers.postgres import PostgresServer
from tests.servers.prometheus import PrometheusServer, scraping
from tests.servers.registry import RegistryServer
from tests.unit.metrics.boards import asked

_BACK: Final = "#111217"
_FRONT: Final = "#181b1f"
_TEXT: Final = "#ccccdc"
_COLORS: Final = ("#73bf69", "#f2cc0c", "#5794f2", "#ff780a", "#b877d9", "#8ab8ff", "#f2495c", "#c0d8ff")
_COLUMNS: Final = 4


def scrape(seconds: float, folder: Path) -> Iterator[PrometheusServer]:
    """A Prometheus that has watched both connectors for *seconds*."""
    with ExitStack() as stack:
        postgres, mysql, kafka, registry = PostgresServer(18), MySqlServer(), KafkaServer(), RegistryServer()
        for server in (postgres, mysql, kafka, registry):
            server.start()
            stack.callback(server.close)
        places: list[tuple[str, Items]] = [
            ("shop", PostgresItems(Database(postgres, postgres.create_database("shop")))),
            ("warehouse", BinlogItems(BinlogDatabase(mysql, mysql.create_database("warehouse"))))]
        targets = []
        for name, items in places:
            items.create()
            items.add(1, 5000)
            home = folder / name
            home.mkdir()
            pipeline = stack.enter_context(Pipeline(home, kafka.bootstrap, registry.url, items.options(name)))
            pipeline.files["pipeline.properties"] |= {"name": name, "producer.statistics.interval.ms": "1000"}
            pipeline.start()
            pipeline.await_state("streaming", connector=name)
            targets.append(pipeline.url.removeprefix("http://"))
        prometheus = stack.enter_context(PrometheusServer(folder, scraping(targets)))
        for _, items in places:
            stack.enter_context(written(items))
        time.sleep(seconds * 0.4)
        kafka.stop()
        time.sleep(seconds * 0.15)
        kafka.start()
        time.sleep(seconds * 0.45)
        yield prometheus


@contextmanager
def written(items: Items) -> Iterator[None]:
    """Somebody writes, more and less, until the end."""
    stop = threading.Event()

    def work() -> None:
        connection = items.connect()
        cursor = connection.cursor()
        for number in itertools.count(10_000):
            if stop.wait(0.002 if number // 2000 % 2 else 0.008):
                return
            cursor.execute(f"INSERT INTO items (id, name) VALUES ({number}, 'a row, number {number}')")
            if number % 3 == 0:
                cursor.execute(f"UPDATE items SET version = version + 1 WHERE id = {number - 5}")
            if number % 7 == 0:
                cursor.execute(f"DELETE FROM items WHERE id = {number - 50}")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def draw(board: Board, prometheus: PrometheusServer, seconds: float, out: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    heights = [height for _, panels in board.rows for height in (0.12, *[1.0] * len(list(_lines(panels))))]
    figure = pyplot.figure(figsize=(18, 2.6 * sum(heights) + 0.5), facecolor=_BACK)
    grid = figure.add_gridspec(len(heights), _COLUMNS, height_ratios=heights, hspace=0.55, wspace=0.18, left=0.04,
                               right=0.98, top=0.93, bottom=0.03)
    figure.suptitle(board.title, color=_TEXT, x=0.04, ha="left", fontsize=16)
    end = time.time()
    line = 0
    for heading, panels in board.rows:
        axes = figure.add_subplot(grid[line, :])
        axes.axis("off")
        axes.text(0, 0, heading, color=_TEXT, fontsize=13, weight="bold")
        line += 1
        for row in _lines(panels):
            for column, width, panel in row:
                axes = figure.add_subplot(grid[line, column:column + width], facecolor=_FRONT)
                _panel(axes, panel, prometheus, end - seconds, end)
            line += 1
    figure.savefig(out, dpi=80, facecolor=_BACK)


def _lines(panels: Sequence[Panel]) -> Iterator[list[tuple[int, int, Panel]]]:
    line: list[tuple[int, int, Panel]] = []
    column = 0
    for panel in panels:
        width = 2 if panel.wide else 1
        if column + width > _COLUMNS:
            yield line
            line, column = [], 0
        line.append((column, width, panel))
        column += width
    if line:
        yield line


def _panel(axes: Any, panel: Panel, prometheus: PrometheusServer, begin: float, end: float) -> None:
    axes.set_title(panel.title, color=_TEXT, fontsize=11, loc="left")
    axes.tick_params(colors=_TEXT, labelsize=8)
    for spine in axes.spines.values():
        spine.set_color("#2c3235")
    axes.grid(color="#2c3235", linewidth=0.5)
    found = [(legend, series) for expression, legend in panel.queries
             for series in prometheus.range(asked(expression, "10s"), begin, end)]
    if panel.kind != "timeseries":
        axes.axis("off")
        texts = [(_legend(legend, series["metric"]) + ("" if panel.kind == "state" else f": {_value(series)}"))
                 for legend, series in found if panel.kind != "state" or _last(series) > end - 10]
        axes.text(0.02, 0.9, "\n".join(texts[:9]) or panel.empty, color=_COLORS[0], fontsize=12, va="top",
                  transform=axes.transAxes)
        return
    for color, (legend, series) in zip(itertools.cycle(_COLORS), found, strict=False):
        times = [(at - begin) / 60 for at, _ in series["values"]]
        axes.plot(times, [float(text) for _, text in series["values"]], color=color, linewidth=1.4,
                  label=_legend(legend, series["metric"]))
    axes.set_xlim(0, (end - begin) / 60)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(panel.unit, color=_TEXT, fontsize=8)
    if found:
        axes.legend(fontsize=7, loc="upper left", facecolor=_FRONT, edgecolor=_FRONT, labelcolor=_TEXT, ncols=2)
    else:
        axes.text(0.5, 0.5, panel.empty, color=_TEXT, ha="center", transform=axes.transAxes)


def _legend(pattern: str, labels: dict[str, str]) -> str:
    for name, text in labels.items():
        pattern = pattern.replace(f"{{{{{name}}}}}", text)
    return pattern


def _last(series: dict[str, Any]) -> float:
    return float(series["values"][-1][0])


def _value(series: dict[str, Any]) -> str:
    return f"{float(series['values'][-1][1]):g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("board", choices=[board.uid for board in BOARDS])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=180.0)
    options = parser.parse_args()
    board = next(each for each in BOARDS if each.uid == options.board)
    with tempfile.TemporaryDirectory() as folder:
        for prometheus in scrape(options.seconds, Path(folder)):
            draw(board, prometheus, options.seconds, options.out)


if __name__ == "__main__":
    main()
