"""The command line. Every command imports what it needs when it runs, so that `cdc --help` is quick.

Exit codes: 0 a clean end, 1 a failure while running, 2 wrong usage or configuration; 130 after Ctrl-C where a command
has no clean end of its own. An expected error (CdcError) is one paragraph on standard error, without a stack trace.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from .core.errors import CdcError, ConfigError

OK: Final = 0
FAILED: Final = 1
BAD_CONFIGURATION: Final = 2
INTERRUPTED: Final = 130

_FILES = click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=str))


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        _never_fail_to_encode(stream)
    try:
        code = cli.main(args=arguments, prog_name="cdc", standalone_mode=False)
    except click.exceptions.Exit as exc:
        code = exc.exit_code
    except click.ClickException as exc:
        exc.show()
        code = exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except CdcError as exc:
        click.echo(explain(exc, _width()), err=True)
        code = BAD_CONFIGURATION if isinstance(exc, ConfigError) else FAILED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = OK
    sys.exit(code if isinstance(code, int) else OK)


def _never_fail_to_encode(stream: Any) -> None:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")


def _width() -> int:
    return min(100, max(40, shutil.get_terminal_size((100, 24)).columns))


def explain(error: CdcError, width: int = 100) -> str:
    """One paragraph: what is wrong, where, and what to do about it. Wrapped to *width*; lines of a list stay lines."""
    from .core.secrets import scrub

    where = ", ".join(f"{name}={value}" for name, value in error.context.items() if value is not None)
    text = scrub(f"cdc: {error.message}{f' [{where}]' if where else ''}{f' {error.hint}' if error.hint else ''}")
    return "\n".join(_wrapped(_printable(line), width) for line in text.splitlines())


def _wrapped(line: str, width: int) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.fill(line, width, subsequent_indent=indent if line.startswith(" ") else "",
                         break_long_words=False, break_on_hyphens=False)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def cli() -> None:
    """Change data capture for relational databases: Debezium's events and Kafka Connect's interfaces, without the JVM.

    \b
    cdc demo                          see it work, with nothing but this machine
    cdc run worker.properties pg.json run connectors, as connect-standalone does
    cdc tail                          look at what a running pipeline sends
    """


@cli.command()
@_FILES
@click.option("--strict", is_flag=True, help="Refuse keys that nobody knows instead of warning about them.")
def run(files: tuple[str, ...], strict: bool) -> int:
    """Run the connectors of FILE… until SIGTERM or Ctrl-C.

    A worker file and then one file per connector, as connect-standalone takes them, or one file that holds both;
    properties, JSON or YAML. CDC_LOG_LEVEL (debug, info, warning, error) and CDC_LOG_FORMAT (json, text) set the log.
    """
    from . import log

    log.configure()
    from .assembly import run_files

    return run_files(files, strict)


@cli.command(short_help="Check configuration files without connecting to anything.")
@_FILES
@click.option("--strict", is_flag=True, help="Count keys that nobody knows as problems.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per finding.")
def validate(files: tuple[str, ...], strict: bool, as_json: bool) -> int:
    """Check the configuration in FILE… without connecting to anything; exit code 2 when it has problems."""
    from .assembly import validate_files

    findings = validate_files(files, strict)
    for finding in findings:
        _print_finding(finding, as_json)
    problems = sum(1 for finding in findings if finding["level"] == "error")
    if not as_json:
        click.echo(f"{problems} problem{'' if problems == 1 else 's'}" if problems else "The configuration is good.",
                   err=bool(problems))
    return BAD_CONFIGURATION if problems else OK


def _print_finding(finding: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        _print_json(finding)
        return
    color = {"error": "red", "warning": "yellow"}.get(finding["level"])
    where = _printable(": ".join(part for part in (finding["file"], finding["option"]) if part))
    click.echo(f"{click.style(finding['level'], fg=color)}: {where}: {_printable(finding['text'])}")


@cli.command()
@click.option("-v", "--verbose", is_flag=True, help="Also the libraries underneath, and each module of the core.")
def version(verbose: bool) -> None:
    """Show the version, and whether the compiled core runs."""
    from . import about

    click.echo(f"cdc {about.VERSION} (core: {about.core()})")
    if verbose:
        python = ".".join(str(part) for part in sys.version_info[:3])
        for name, found in {"python": python, **about.libraries(), **about.core_modules()}.items():
            click.echo(f"  {name:<34} {found}")


@cli.command(short_help="Show live changes of a sample shop.",
             context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: tuple[str, ...]) -> int:
    """Show live changes of a sample shop, with a database server of its own; leaves nothing behind."""
    from .demo import main as run_demo

    return int(run_demo(list(arguments)))


@cli.command(short_help="Print the events of a running pipeline or a topic.")
@click.argument("url", required=False)
@click.option("--topic", help="Read this topic instead of a running pipeline.")
@click.option("--bootstrap-server", metavar="HOST:PORT", help="Kafka brokers, for --topic.")
@click.option("--registry", metavar="URL", help="Schema Registry, for topics in Avro.")
@click.option("-X", "properties", multiple=True, metavar="KEY=VALUE", help="A librdkafka property, for --topic.")
@click.option("--from-beginning", is_flag=True, help="Start with the oldest record of the topic.")
@click.option("-n", "limit", type=click.IntRange(min=0), help="Stop after this many events.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per event, values as they are.")
def tail(url: str | None, topic: str | None, bootstrap_server: str | None, registry: str | None,
         properties: tuple[str, ...], from_beginning: bool, limit: int | None, as_json: bool) -> int:
    """Print events as they pass: of the running pipeline at URL (http://127.0.0.1:8083), or of a topic.

    \b
    cdc tail
    cdc tail http://127.0.0.1:8084 --json -n 10
    cdc tail --topic shop.public.orders --bootstrap-server localhost:9092 --registry http://localhost:8081
    """
    if topic and url:
        raise click.UsageError("Give either a URL or --topic.")
    if topic and not bootstrap_server:
        raise click.UsageError("--topic needs --bootstrap-server HOST:PORT.")
    if not topic and (bootstrap_server or registry or properties or from_beginning):
        raise click.UsageError("--bootstrap-server, --registry, -X and --from-beginning go with --topic.")
    from . import log, tail

    log.configure("warning")
    printer = tail.Printer(as_json, limit)
    try:
        if topic and bootstrap_server:
            printer.print_all(tail.topic_events(topic, bootstrap_server, registry, properties, from_beginning,
                                                readable=not as_json))
        else:
            printer.print_all(tail.pipeline_events(url or tail.DEFAULT_URL, readable=not as_json))
    except KeyboardInterrupt:
        pass
    return OK


@cli.group()
def plugins() -> None:
    """Connectors, converters and transforms, and their options."""


@plugins.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per plugin.")
def list_plugins(as_json: bool) -> None:
    """What a configuration can name: by its Java class, as in Kafka Connect, or by one of the names in brackets."""
    from .plugins import PLUGINS

    for plugin in PLUGINS:
        if as_json:
            _print_json({"class": plugin.class_name, "type": plugin.kind, "aliases": plugin.aliases,
                         "available": plugin.available})
        elif plugin.available:
            aliases = ", ".join(alias for alias in plugin.aliases if alias != plugin.class_name)
            click.echo(f"{plugin.kind:<13} {click.style(plugin.class_name, bold=True)}"
                       f"{f'  ({aliases})' if aliases else ''}")


@plugins.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per option.")
def describe(name: str, as_json: bool) -> None:
    """The options of the connector NAME, or of the `worker`: type, default and meaning."""
    for found in _option_table(name).describe():
        if as_json:
            _print_json(found)
        else:
            click.echo(_described(found, _width()))


def _option_table(name: str) -> Any:
    """The `OptionTable` of what goes by *name*. Raises ConfigError."""
    if name.lower() == "worker":
        from .runtime.options import WORKER_OPTIONS

        return WORKER_OPTIONS
    from .plugins import PLUGINS, find

    for plugin in PLUGINS:
        if plugin.options and name.lower() in (each.lower() for each in (plugin.class_name, *plugin.aliases)):
            return plugin.load_options()
    if any(name.lower() in (each.lower() for each in (plugin.class_name, *plugin.aliases)) for plugin in PLUGINS):
        raise ConfigError(f"{name} has no list of options.", hint="There is one for each connector and for `worker`.")
    return find("connector", name).load_options()


def _described(found: Mapping[str, Any], width: int) -> str:
    default = "required" if found["required"] else f"default {found['default_value']!r}"
    if not found["required"] and found["default_value"] is None:
        default = "no default"
    effect = {"inert": "accepted, without effect", "later": "not available yet"}.get(found["effect"], "")
    facts = ", ".join(part for part in (found["type"].lower(), default, effect) if part)
    allowed = f" One of: {', '.join(found['allowed'])}." if found["allowed"] else ""
    text = textwrap.fill(f"{found['documentation']}{allowed}".strip(), width, initial_indent="    ",
                         subsequent_indent="    ", break_on_hyphens=False)
    return f"{click.style(found['name'], bold=True)}  {click.style(facts, dim=True)}\n{text}"


def _print_json(found: Mapping[str, Any]) -> None:
    import json

    click.echo(json.dumps(found, ensure_ascii=False, default=str))
