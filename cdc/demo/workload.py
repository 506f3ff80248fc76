"""The sample shop's people, in a database that is there already: `python -m cdc.demo.workload URL`.

`docker-compose.yml` runs it, so that there is something to see. Now and then a burst of changes in one transaction
moves the lag. It waits while the database is away.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import click

from . import binlog, postgres
from .shop import DATABASE, Dialect, Shop, transaction

_AGAIN_S: Final = 2.0
_PORTS: Final = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}


class Database(NamedTuple):
    """A database with the shop's tables. `errors` are the exceptions of its connections."""

    connect: Callable[[], Any]
    errors: type[Exception]
    dialect: Dialect


def database(url: str) -> Database:
    """`postgresql://user:password@host:port`, or `mysql://` or `mariadb://`. Raises UsageError."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or not parts.username:
        raise click.UsageError("URL must be postgresql://user:password@host:port, or begin with mysql:// or mariadb://.")
    host, port = parts.hostname, parts.port or _PORTS[parts.scheme]
    user, password = unquote(parts.username), unquote(parts.password or "")
    if parts.scheme == "postgresql":
        import psycopg

        return Database(lambda: psycopg.connect(host=host, port=port, user=user, password=password, dbname=DATABASE,
                                                connect_timeout=10), psycopg.Error, postgres.DIALECT)
    import pymysql

    return Database(lambda: pymysql.connect(host=host, port=port, user=user, password=password, charset="utf8mb4",
                                            connect_timeout=10), pymysql.MySQLError, binlog.DIALECT)


class Pace(NamedTuple):
    """`rate`: transactions a second. Every `every_s` seconds, `burst` changes in one transaction."""

    rate: float
    burst: int
    every_s: float


def work(where: Database, pace: Pace, stop: threading.Event) -> None:
    """Run the shop until *stop* is set."""
    while not stop.is_set():
        now = int(time.time())
        shop = Shop(now, where.dialect, now)  # a number of customers and products of this start only
        try:
            with where.connect() as connection:
                _run(shop, connection, pace, stop)
        except where.errors as exc:
            click.echo(f"The database does not work ({type(exc).__name__}); next try in {_AGAIN_S:g} s.", err=True)
            stop.wait(_AGAIN_S)


def _run(shop: Shop, connection: Any, pace: Pace, stop: threading.Event) -> None:
    with transaction(connection) as cursor:
        cursor.execute("SELECT count(*) FROM shop.products")
        if cursor.fetchone()[0] == 0:
            shop.stock_up(cursor)
    next_burst = time.monotonic() + pace.every_s
    for act in shop.actions():
        if stop.wait(shop.pause_s(pace.rate)):
            return
        with transaction(connection) as cursor:
            act(cursor)
        if pace.burst and time.monotonic() >= next_burst:
            with transaction(connection) as cursor:
                for _ in range(pace.burst):
                    shop.move_customer(cursor)
            next_burst = time.monotonic() + pace.every_s


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("url")
@click.option("--rate", type=click.FloatRange(min=0.1), default=20.0, show_default=True, help="Transactions a second.")
@click.option("--burst", type=click.IntRange(min=0), default=5000, show_default=True,
              help="Changes in the transaction that moves the lag; 0 for none.")
@click.option("--every", "every_s", type=click.FloatRange(min=0), default=60.0, show_default=True,
              help="Seconds between bursts.")
def main(url: str, rate: float, burst: int, every_s: float) -> None:
    """Change rows of the sample shop at URL until SIGTERM or Ctrl-C. The tables must be there."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    work(database(url), Pace(rate, burst, every_s), stop)


if __name__ == "__main__":
    sys.exit(main())
