"""`cdc demo`: a database, a sample shop and a pipeline on one machine, without setup, and without leaving anything.

`guard` runs an embedded PostgreSQL (`postgres`), or a MariaDB or MySQL of this machine (`binlog`); `mock` shows the
datagen source, without a database. `shop` changes rows
there, `pipeline` is what `cdc run` runs, and `sink` and `screen` show its events. The demo stands above all other
rooms: only the `demo` command imports it, and it contains no part of the product that `cdc run` lacks.
"""

from __future__ import annotations

from collections.abc import Sequence

import click


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--seconds", type=click.FloatRange(min=0), metavar="N", help="Stop after N seconds of changes.")
@click.option("--events", type=click.IntRange(min=0), metavar="N",
              help="Stop after N changes; rows read by the snapshot do not count.")
@click.option("--rate", type=click.FloatRange(min=0.1, max=1000), default=5.0, show_default=True, metavar="N",
              help="Transactions a second in the shop; with --source datagen, rows a second.")
@click.option("--seed", type=int, default=1, show_default=True, metavar="N",
              help="The same number makes the same things happen in the shop.")
@click.option("--source", type=click.Choice(["postgres", "mariadb", "mysql", "datagen"]), default="postgres",
              show_default=True,
              help="Which database to show. PostgreSQL comes with the demo; for the others, the demo starts the server "
                   "that is installed on this machine, with data of its own. datagen needs no database: it makes rows "
                   "from a schema.")
@click.option("--quickstart", default="orders", show_default=True, metavar="NAME",
              help="With --source datagen: which rows, by the name of a quickstart (cdc docs reference/datagen).")
@click.option("--json", "as_json", is_flag=True,
              help="One JSON object per event, as `cdc tail --json` prints them; everything else on standard error.")
def demo(seconds: float | None, events: int | None, rate: float, seed: int, source: str, quickstart: str,
         as_json: bool) -> int:
    """Show live changes of a sample shop, with a database server of its own; leaves nothing behind.

    No Docker, no Kafka, nothing to configure: a temporary server is started that only you can reach, and everything
    is gone when the demo ends, by Ctrl-C, by SIGTERM, or after --seconds or --events.
    """
    from .play import play

    return play(source, seconds, events, rate, seed, as_json, quickstart)


def main(arguments: Sequence[str]) -> int:
    """`cdc demo` with its command-line *arguments*; the exit code. Raises CdcError, and click's exceptions."""
    code = demo.main(args=list(arguments), prog_name="cdc demo", standalone_mode=False)
    return code if isinstance(code, int) else 0
