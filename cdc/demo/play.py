"""The demo from start to end: server, shop, pipeline, events, and then the removal of everything."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType

from cdc import log

from . import mock
from .embedded import EmbeddedServer
from .pipeline import Pipeline, connector_config
from .screen import Screen
from .shop import Workload
from .sink import ScreenSink

_WAIT_S = 0.1


def play(source: str, seconds: float | None, events: int | None, rate: float, seed: int, as_json: bool,
         quickstart: str = "orders") -> int:
    """Run until *seconds* have passed, *events* changes were shown, or a signal comes. Returns 0. Raises CdcError,
    OSError. *quickstart*: the rows of the source `datagen`."""
    stop = _stop_on_signals()
    log.configure("warning")
    screen = Screen(as_json, stop)
    if source == "datagen":
        mock.play_rows(screen, mock.connector_config(quickstart, rate, seed), seconds, events, stop)
        return 0
    with _server(source, stop) as server:
        screen.say(f"Starting {server.title} with a sample shop…")
        if not server.start():
            return 0
        shop = server.open_shop(seed)
        _show(screen, server, server.workload(shop, rate), seconds, events, stop)
    screen.say("Stopped. The server and its files are gone.")
    return 0


def _server(source: str, stop: threading.Event) -> EmbeddedServer:
    """The server called *source*. Imports only that server's driver."""
    if source == "postgres":
        from .postgres import EmbeddedPostgres

        return EmbeddedPostgres(stop)
    from .binlog import LocalMariaDb, LocalMySql

    return (LocalMariaDb if source == "mariadb" else LocalMySql)(stop)


def _stop_on_signals() -> threading.Event:
    """The first signal asks for an orderly end; a second Ctrl-C ends the process at once."""
    stop = threading.Event()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    return stop


def _show(screen: Screen, server: EmbeddedServer, workload: Workload, seconds: float | None, events: int | None,
          stop: threading.Event) -> None:
    sink = ScreenSink()
    with Pipeline(server.folder, connector_config(server.connector()), sink) as pipeline:
        pipeline.start()
        while not stop.wait(0.01) and pipeline.url() is None:
            pipeline.check()
        if stop.is_set():
            return
        screen.head([*server.head(), *_head(pipeline.url() or "")])
        # Once the first row arrives, the snapshot's content is fixed: a change from now on is a change event.
        while not stop.is_set() and not _step(screen, sink):
            pipeline.check()
        workload.start()
        began = time.monotonic()
        try:
            while not stop.is_set() and (seconds is None or time.monotonic() < began + seconds):
                if events is not None and screen.changes >= events:
                    break
                _step(screen, sink)
                server.check()
                pipeline.check()
                workload.check()
        finally:
            workload.stop()
            screen.close()
        screen.say(screen.summary(time.monotonic() - began))


def _step(screen: Screen, sink: ScreenSink) -> bool:
    """Show the next event, if one comes soon."""
    taken = sink.take(_WAIT_S)
    if taken is not None:
        place, outgoing = taken
        screen.event(outgoing)
        sink.shown(place)
    screen.tick()
    return taken is not None


def _head(url: str) -> list[tuple[str, str]]:
    return [
        ("pipeline", f"{url}  (REST as Kafka Connect's: {url}/connectors/demo/status; metrics: {url}/metrics)"),
        ("second view", f"cdc tail {url}"),
        ("stop", "Ctrl-C"),
    ]
