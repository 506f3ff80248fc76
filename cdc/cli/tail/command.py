"""The command's options."""

from __future__ import annotations

import click

from cdc.cli.output import OK


@click.command(short_help="Print the events of a running pipeline or a topic.")
@click.argument("url", required=False)
@click.option("--topic", help="Read this topic instead of a running pipeline.")
@click.option("--bootstrap-server", metavar="HOST:PORT", help="Kafka brokers, for --topic.")
@click.option("--registry", metavar="URL", help="Schema Registry, for topics in Avro.")
@click.option("-X", "properties", multiple=True, metavar="KEY=VALUE", help="A librdkafka property, for --topic.")
@click.option("--from-beginning", is_flag=True, help="Start with the oldest record of the topic.")
@click.option("-n", "limit", type=click.IntRange(min=0), help="Stop after this many events.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event, values unchanged.")
def tail(url: str | None, topic: str | None, bootstrap_server: str | None, registry: str | None,
         properties: tuple[str, ...], from_beginning: bool, limit: int | None, as_json: bool) -> int:
    """Print events as they pass, of the running pipeline at URL (http://127.0.0.1:8083) or of a topic.

    \b
    cdc tail
    cdc tail http://127.0.0.1:8084 --json -n 10
    cdc tail --topic shop.public.orders --bootstrap-server kafka:9092 --registry http://registry:8081
    """
    if topic and url:
        raise click.UsageError("Give either a URL or --topic.")
    if topic and not bootstrap_server:
        raise click.UsageError("--topic needs --bootstrap-server HOST:PORT.")
    if not topic and (bootstrap_server or registry or properties or from_beginning):
        raise click.UsageError("--bootstrap-server, --registry, -X and --from-beginning go with --topic.")
    from cdc import log

    from .pipeline import DEFAULT_URL, pipeline_events
    from .printer import Printer
    from .topic import topic_events

    log.configure("warning")
    printer = Printer(as_json, limit)
    try:
        if topic and bootstrap_server:
            printer.print_all(topic_events(topic, bootstrap_server, registry, properties, from_beginning,
                                           readable=not as_json))
        else:
            printer.print_all(pipeline_events(url or DEFAULT_URL, readable=not as_json))
    except KeyboardInterrupt:
        pass
    return OK
