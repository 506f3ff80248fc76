"""`cdc get`: lists of what a worker has."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from cdc.cli.table import show

from .options import NAMES, OUTPUT, of_worker
from .states import first_line, unknown

if TYPE_CHECKING:
    from cdc.client.rest import Client


@click.group(short_help="List connectors, tasks, topics, plugins or loggers of a worker.")
def get() -> None:
    """List what the running worker has; `cdc describe` shows one thing whole.

    \b
    cdc get connectors
    cdc get tasks shop -o json
    """


@get.command(short_help="List connectors.")
@of_worker
@NAMES
@OUTPUT
def connectors(client: Client, names: Sequence[str], output: str) -> None:
    """List the connectors, or those named.

    As JSON or YAML, the list has their configurations, so that `cdc apply -f` takes it:

    \b
    cdc get connectors
    cdc get connectors shop -o json > shop.json
    """
    found = connectors_of(client, names)
    show(found, output, ("NAME", "CLASS", "STATE", "TASKS", "WARNINGS"), [
        (each["name"], _short(each["config"].get("connector.class")), each["status"]["connector"]["state"],
         _tasks(each["status"]["tasks"]), _warnings(each["status"]["tasks"])) for each in found],
        "The worker has no connectors. `cdc apply -f FILE` creates one.")


@get.command(short_help="List tasks, with the reason of what is not well.")
@of_worker
@NAMES
@OUTPUT
def tasks(client: Client, names: Sequence[str], output: str) -> None:
    """List the tasks of all connectors, or of those named, with the reason of what is not well.

    \b
    cdc get tasks shop
    """
    found = [{"connector": each["name"], **task} for each in connectors_of(client, names)
             for task in each["status"]["tasks"]]
    show(found, output, ("CONNECTOR", "TASK", "STATE", "WORKER", "REASON"), [
        (each["connector"], each["id"], each["state"], each.get("worker_id"), first_line(each.get("trace")))
        for each in found], "There are no tasks.")


@get.command(short_help="List topics that connectors have sent records to.")
@of_worker
@NAMES
@OUTPUT
def topics(client: Client, names: Sequence[str], output: str) -> None:
    """List the topics that all connectors, or those named, have sent records to.

    \b
    cdc get topics shop
    """
    found = [{"connector": each["name"], "topic": topic} for each in connectors_of(client, names)
             for topic in topics_of(client, each["name"])]
    show(found, output, ("CONNECTOR", "TOPIC"), [(each["connector"], each["topic"]) for each in found],
         "No records were sent yet.")


@get.command(short_help="List the connector classes of the worker.")
@of_worker
@click.option("--all", "everything", is_flag=True, help="Transforms, predicates and converters, too.")
@OUTPUT
def plugins(client: Client, everything: bool, output: str) -> None:
    """List the connector classes that the worker has; `cdc plugins list` lists those that are installed here.

    \b
    cdc get plugins --all
    """
    found = client.get("connector-plugins", connectorsOnly=str(not everything).lower())
    show(found, output, ("TYPE", "CLASS", "VERSION"), [
        (each["type"], each["class"], each.get("version")) for each in found])


@get.command(short_help="List loggers and their levels.")
@of_worker
@OUTPUT
def loggers(client: Client, output: str) -> None:
    """List the loggers, their levels, and when somebody set them; `cdc loggers set` changes one.

    \b
    cdc get loggers
    """
    show_loggers(client.get("admin", "loggers"), output)


for _name, _command in (("connector", connectors), ("task", tasks), ("topic", topics), ("plugin", plugins),
                        ("logger", loggers)):
    get.add_command(click.Command(_name, params=_command.params, callback=_command.callback, hidden=True,
                                  help=_command.help))


def connectors_of(client: Client, names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """`{"name", "type", "config", "status": {"connector", "tasks"}}` of all connectors, or of *names*. Raises
    StateError for one that does not exist."""
    found = client.get("connectors", expand=["info", "status"])
    for name in names:
        if name not in found:
            raise unknown(name, list(found))
    return [{"name": name, "type": found[name]["info"].get("type"), "config": found[name]["info"]["config"],
             "status": {part: found[name]["status"][part] for part in ("connector", "tasks")}}
            for name in dict.fromkeys(names or sorted(found))]


def topics_of(client: Client, name: str) -> list[str]:
    """The topics that a connector has sent records to."""
    return sorted(client.get("connectors", name, "topics")[name]["topics"])


def show_loggers(found: Mapping[str, Mapping[str, Any]], output: str) -> None:
    """Print loggers as the worker tells them."""
    show(found, output, ("LOGGER", "LEVEL", "SET"), [
        (name, each["level"], _time(each.get("last_modified"))) for name, each in found.items()])


def _short(class_name: str | None) -> str:
    return (class_name or "").rpartition(".")[2]


def _tasks(tasks: Sequence[Mapping[str, Any]]) -> str:
    """`1/1 RUNNING`: how many tasks are in the state that most need a look."""
    if not tasks:
        return "none"
    states = [task["state"] for task in tasks]
    worst = next((state for state in ("FAILED", "UNASSIGNED", "RESTARTING") if state in states), states[0])
    return f"{states.count(worst)}/{len(states)} {worst}"


def _warnings(tasks: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(str(each.get("kind")) for task in tasks for each in task.get("warnings", ())))


def _time(milliseconds: int | None) -> str:
    if milliseconds is None:
        return ""
    return datetime.datetime.fromtimestamp(milliseconds / 1000).isoformat(" ", "seconds")
