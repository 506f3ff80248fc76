"""`cdc import`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .output import BAD_CONFIGURATION, OK, printable

if TYPE_CHECKING:
    from cdc.core.handover import Remark
    from cdc.operate.connect_rest import ConnectRest
    from cdc.operate.takeover import Candidate, Offsets, Target

_COLORS = {"error": "red", "warning": "yellow"}


@click.command("import", short_help="Take over the connectors of a running Kafka Connect.")
@click.argument("url")
@click.option("--connector", "names", multiple=True, metavar="NAME",
              help="Only this connector; may be repeated. Without it: all that are known here.")
@click.option("--dry-run", is_flag=True, help="Say what would differ, and change nothing.")
@click.option("--worker", metavar="FILE", type=click.Path(exists=True, dir_okay=False),
              help="The worker's file here: the connectors are checked with it, and offsets go into its store.")
@click.option("--out", type=click.Path(path_type=Path), default=Path(), metavar="FOLDER",
              help="Where a file for each connector is written; the present folder by default.")
@click.option("--to", metavar="URL", help="A running cdc that is to run the connectors, instead of files.")
@click.option("--connect-credentials", metavar="FILE", type=click.Path(exists=True, dir_okay=False),
              help="Who you are for Kafka Connect: lines user=… and password=…, or token=…; ca=… and certificate=… "
                   "name PEM files. Without it: CDC_CLI_CONNECT_USER and so on, or the file that "
                   "CDC_CLI_CONNECT_CREDENTIALS names.")
@click.option("--credentials", metavar="FILE", type=click.Path(exists=True, dir_okay=False),
              help="The same for the cdc of --to. Without it: CDC_CLI_TOKEN and so on, or the file that "
                   "CDC_CLI_CREDENTIALS names.")
@click.option("--offset-topic", metavar="TOPIC", help="Kafka Connect's offset.storage.topic, if it is older than 3.5.")
@click.option("--bootstrap-servers", metavar="LIST", help="The brokers that have this topic.")
@click.option("--command-config", metavar="FILE", type=click.Path(exists=True, dir_okay=False),
              help="Properties of a Kafka client for this topic, as Kafka's own tools take them: security.protocol, "
                   "sasl.*, ssl.*.")
@click.option("--replace", is_flag=True, help="Replace files and offsets that are here already.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=1), default=120.0, show_default=True,
              help="Seconds to wait for a connector to stop there, and to run here.")
def import_connectors(url: str, names: tuple[str, ...], dry_run: bool, worker: str | None, out: Path, to: str | None,
                      connect_credentials: str | None, credentials: str | None, offset_topic: str | None,
                      bootstrap_servers: str | None, command_config: str | None, replace: bool,
                      timeout_s: float) -> int:
    """Take over the connectors of a running Kafka Connect, the one at URL, without a new snapshot.

    Each connector is stopped there, and its last offset is stored here. A connector that has an error is left alone.
    Nothing is deleted in Kafka Connect. `cdc docs moving` has the steps, and the way back.

    \b
    cdc import http://connect:8083 --dry-run
    cdc import http://connect:8083 --connector orders --worker worker.properties --out connectors
    cdc import http://connect:8083 --to http://127.0.0.1:8084

    For a Kafka Connect before 3.5, whose brokers want TLS or a login:

    \b
    cdc import http://connect:8083 --dry-run --offset-topic connect-offsets
      --bootstrap-servers kafka:9093 --command-config client.properties

    A user may stand in URL: https://user@connect:8083. The password is asked for at a terminal, unless
    --connect-credentials or CDC_CLI_CONNECT_PASSWORD has it.

    Exit codes: 0 if all connectors were taken over, or could be; 2 if one cannot; 3 if Kafka Connect does not answer.
    """
    if not dry_run and bool(worker) == bool(to):
        raise click.UsageError("Name the worker's file with --worker, or a running cdc with --to. --dry-run needs "
                               "neither.")
    if bool(offset_topic) != bool(bootstrap_servers or command_config):
        raise click.UsageError("--offset-topic belongs together with --bootstrap-servers or --command-config.")
    from cdc.operate.takeover import survey

    connect = _connect(url, connect_credentials)
    offsets = _offsets(connect, offset_topic, bootstrap_servers, command_config)
    found = survey(connect, names, offsets, _check(worker, elsewhere=bool(to)))
    for each in found:
        _show(each)
    ready = [each for each in found if each.ready]
    if not dry_run and ready:
        with _target(worker, out, to, credentials, replace=replace, timeout_s=timeout_s) as target:
            _take(ready, connect, offsets, target, timeout_s)
    elif not found:
        click.echo("There are no connectors.", err=True)
    return OK if len(ready) == len(found) else BAD_CONFIGURATION


def _take(ready: Sequence[Candidate], connect: ConnectRest, offsets: Offsets, target: Target, timeout_s: float) -> None:
    from cdc.operate.takeover import take

    for each in ready:
        target.prepare(each)
    for each in ready:
        following = take(each, connect, offsets, target, lambda text: click.echo(printable(text), err=True), timeout_s)
        click.echo(f"{printable(each.name)}: taken over. {printable(following)}")


def _connect(url: str, file: str | None) -> ConnectRest:
    from cdc.client.address import connect_address
    from cdc.client.credentials import OF_CONNECT
    from cdc.client.rest import Hints
    from cdc.operate.connect_rest import TIMEOUT_S, ConnectRest

    from .asked import client, known

    address, given = connect_address(url)
    who = known(file, given=given, prefix=OF_CONNECT)
    return ConnectRest(client(address, who, TIMEOUT_S, Hints(
        "No Kafka Connect", "Its REST interface is at `listeners` of its worker, port 8083 by default.",
        "If a private authority has signed its certificate, name the PEM file of that authority as ca=FILE in the file "
        f"of --connect-credentials, or in {OF_CONNECT}CA.",
        f"Give a user and a password with --connect-credentials, in {OF_CONNECT}USER and {OF_CONNECT}PASSWORD, or in "
        "the address: https://user:password@host:port.")))


def _offsets(connect: ConnectRest, topic: str | None, servers: str | None, file: str | None) -> Offsets:
    if topic is None:
        return connect.offsets
    from cdc.operate.connect_topic import offsets_of, settings_of

    return offsets_of(topic, settings_of(file, servers, lambda text: click.echo(f"warning: {text}", err=True)))


def _check(worker: str | None, *, elsewhere: bool) -> Callable[[Mapping[str, str]], list[Remark]]:
    """What `cdc validate` says of a connector under *worker*; without one, under one with nothing but a store.
    *elsewhere*: it will run on another machine, so a reference that leads nowhere here may be good there."""
    from cdc import plugins
    from cdc.assembly import parse_worker
    from cdc.config.providers import Providers
    from cdc.core.errors import ConfigError
    from cdc.core.handover import Remark
    from cdc.runtime import configfile
    from cdc.validate import connector_findings

    raw = {"sink.type": "kafka", "bootstrap.servers": "localhost:9092", "offset.storage.file.filename": "offsets"}
    if worker is not None:
        raw = configfile.load_raw([Path(worker)], plugins.worker_options())[0]
    providers = Providers.of(raw)
    settings, _ = parse_worker(providers.resolve(raw))

    def check(config: Mapping[str, str]) -> list[Remark]:
        found: list[Remark] = []
        resolved: dict[str, str] = {}
        for key, text in config.items():
            try:
                resolved |= providers.resolve({key: text})
            except ConfigError as exc:
                found.append(Remark("warning" if elsewhere else "error", exc.option or "", str(exc)))
                resolved[key] = text
        levels = {"error": "error", "warning": "warning"}
        return [*found, *(Remark(levels.get(each["level"], "info"), each["option"], each["text"])  # type: ignore[arg-type]
                          for each in connector_findings(resolved, settings, "", False))]

    return check


@contextmanager
def _target(worker: str | None, out: Path, to: str | None, credentials: str | None, *, replace: bool,
            timeout_s: float) -> Iterator[Target]:
    from cdc.operate.takeover import Files, Service

    if to is not None:
        from cdc.client.address import address
        from cdc.operate.connect_rest import TIMEOUT_S, ConnectRest

        from .asked import client, known

        service = ConnectRest(client(address(to, option="--to"), known(credentials), TIMEOUT_S))
        service.check()
        yield Service(service, timeout_s=timeout_s)
        return
    from cdc.assembly import offsets_of

    assert worker is not None
    store = offsets_of([worker])
    store.start()
    try:
        yield Files(store, out, worker, replace=replace)
    finally:
        store.close()


def _show(candidate: Candidate) -> None:
    verdict = "can be taken over" if candidate.ready else "cannot be taken over"
    kind = f" ({candidate.kind}, {candidate.state or 'no state'})"
    click.echo(f"{printable(candidate.name)}{printable(kind)} {verdict}")
    for each in sorted(candidate.remarks, key=lambda each: ["error", "warning", "info"].index(each.level)):
        about = f"{printable(each.about)}: " if each.about else ""
        text = printable(each.text).removeprefix(about)
        click.echo(f"  {click.style(each.level, fg=_COLORS.get(each.level))}: {about}{text}")
