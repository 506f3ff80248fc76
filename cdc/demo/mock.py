"""The demo without a database: rows of the datagen source, through the same pipeline to the same screen."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path

from .pipeline import Pipeline
from .screen import Screen
from .sink import ScreenSink

_WAIT_S = 0.1


def connector_config(quickstart: str, rate: float, seed: int) -> dict[str, str]:
    """A datagen connector for the rows of *quickstart*, *rate* a second."""
    return {"name": "demo", "connector.class": "datagen", "kafka.topic": f"demo.{quickstart}", "quickstart": quickstart,
            "cdc.datagen.rate": str(rate), "random.seed": str(seed)}


def play_rows(screen: Screen, config: dict[str, str], seconds: float | None, events: int | None,
              stop: threading.Event) -> None:
    """Show rows until *seconds* have passed, *events* rows were shown, or *stop* is set. Raises CdcError, OSError."""
    sink = ScreenSink()
    with tempfile.TemporaryDirectory(prefix="cdc-demo-") as folder, Pipeline(Path(folder), config, sink) as pipeline:
        pipeline.start()
        while not stop.wait(0.01) and pipeline.url() is None:
            pipeline.check()
        url = pipeline.url() or ""
        screen.head([("source", f"datagen, quickstart {config['quickstart']}: no database"),
                     ("pipeline", f"{url}  (REST: {url}/connectors/demo/status; metrics: {url}/metrics)"),
                     ("second view", f"cdc tail {url}"), ("stop", "Ctrl-C")])
        began, shown = time.monotonic(), 0
        try:
            while not stop.is_set() and (seconds is None or time.monotonic() < began + seconds) and shown != events:
                taken = sink.take(_WAIT_S)
                if taken is not None:
                    place, outgoing = taken
                    screen.event(outgoing)
                    sink.shown(place)
                    shown += 1
                screen.tick()
                pipeline.check()
        finally:
            screen.close()
        screen.say(f"{shown} rows in {time.monotonic() - began:.1f} s.")
