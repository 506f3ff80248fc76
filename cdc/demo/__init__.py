"""`cdc demo`: the whole thing on one machine, with nothing to set up and nothing left behind.

An embedded PostgreSQL (`postgres`) or a MariaDB or MySQL of this machine (`binlog`), kept by `guard`; a shop in it
that people use (`shop`), the pipeline that `cdc run` runs (`pipeline`), and its events on the screen (`screen`,
`sink`). The demo stands beside the command line, above all other rooms: nothing imports it but the `demo` command, and
it has no part of the product that `cdc run` has not.
"""

from __future__ import annotations

from collections.abc import Sequence

import click


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--seconds", type=click.FloatRange(min=0), metavar="N", help="Stop after N seconds of changes.")
@click.option("--events", type=click.IntRange(min=0), metavar="N",
              help="Stop after N changes; rows read by the snapshot do not count.")
@click.option("--rate", type=click.FloatRange(min=0.1, max=1000), default=5.0, show_default=True, metavar="N",
              help="Transactions a second in the shop.")
@click.option("--seed", type=int, default=1, show_default=True, metavar="N",
              help="The same number makes the same things happen in the shop.")
@click.option("--source", type=click.Choice(["postgres", "mariadb", "mysql"]), default="postgres", show_default=True,
              help="Which database to show. PostgreSQL comes with the demo; of the others an installed server is used, "
                   "with data of its own.")
@click.option("--json", "as_json", is_flag=True,
              help="One JSON object per event, as `cdc tail --json` prints them; everything else on standard error.")
def demo(seconds: float | None, events: int | None, rate: float, seed: int, source: str, as_json: bool) -> int:
    """Show live changes of a sample shop, with a database server of its own; leaves nothing behind.

    No Docker, no Kafka, nothing to configure: a temporary server is started that only you can reach, and everything
    is gone when the demo ends, by Ctrl-C, by SIGTERM, or after --seconds or --events.
    """
    from .play import play

    return play(source, seconds, events, rate, seed, as_json)


def main(arguments: Sequence[str]) -> int:
    """`cdc demo` with its command-line *arguments*; the exit code. Raises CdcError, and click's exceptions."""
    code = demo.main(args=list(arguments), prog_name="cdc demo", standalone_mode=False)
    return code if isinstance(code, int) else 0
