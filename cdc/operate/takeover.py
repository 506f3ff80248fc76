"""Connectors of a running Kafka Connect: what becomes of them here, and taking them over without a new snapshot.

Order matters. What is written here is prepared first, while Kafka Connect still runs: a store that cannot be opened
must not leave a connector stopped. Then the connector is stopped there, its last offset is read, and only then is
anything written or started here. Two programs that read one replication slot, or that have one server id, push each
other out.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from cdc import other_connectors, plugins
from cdc.client.errors import NotReadyError
from cdc.core.errors import CdcError, ConfigError, OffsetStoreError
from cdc.core.handover import Given, Handover, Remark
from cdc.core.stores import OffsetStore

from .connect_rest import ConnectError, ConnectRest

_POLL_S: Final = 0.5
_SETTLE_S: Final = 1.0
"""An offset is the last one if it is the same after so long. The tasks have ended by then."""
_SETTLE_UNSEEN_S: Final = 10.0
"""The same where nobody tells when the tasks end: `offset.flush.timeout.ms` and `task.shutdown.graceful.timeout.ms` of
Kafka Connect are 5 s."""
_CONVERTERS: Final = ("key.converter", "value.converter")

Offsets = Callable[[str], Given | None]
"""The offsets of a connector; None if they cannot be read."""
Check = Callable[[Mapping[str, str]], Sequence[Remark]]


class TakeoverError(CdcError):
    """A connector could not be taken over. The hint says in which state it is."""


@dataclass(slots=True)
class Candidate:
    """A connector of Kafka Connect. `offsets`: those that it goes on from (`Handover.chosen`)."""

    name: str
    config: dict[str, str] = field(repr=False)
    state: str
    offsets: Given = field(default_factory=list, repr=False)
    remarks: list[Remark] = field(default_factory=list)
    handover: Handover | None = None

    @property
    def ready(self) -> bool:
        """Whether nothing stands against taking it over."""
        return not any(each.level == "error" for each in self.remarks)

    @property
    def kind(self) -> str:
        return self.config.get("connector.class", "").rpartition(".")[2]


class Target(Protocol):
    """Where connectors go."""

    def prepare(self, candidate: Candidate) -> None:
        """Whether it could be put here; it runs on in Kafka Connect. Raises CdcError."""
        ...

    def put(self, candidate: Candidate) -> None:
        """Store its configuration and offsets. Raises CdcError."""
        ...

    def begin(self, candidate: Candidate) -> str:
        """Start it, if this is where it runs; and a sentence that says what is to be done next."""
        ...


# -- looking ----------------------------------------------------------------------------------------------------------


def survey(connect: ConnectRest, names: Sequence[str], offsets: Offsets, check: Check) -> list[Candidate]:
    """The connectors *names* of *connect*, or all of them. *check* gives what a start here would say of a
    configuration. Raises ConnectError, NotReadyError, and ConfigError for a name that is not there."""
    connect.check()
    there = connect.connectors()
    missing = [name for name in names if name not in there]
    if missing:
        raise ConfigError(f"There is no connector {', '.join(missing)} in {connect.url}.",
                          hint=f"It has {', '.join(there)}." if there else "It has no connectors.")
    return [_candidate(connect, name, offsets, check) for name in names or there]


def _candidate(connect: ConnectRest, name: str, offsets: Offsets, check: Check) -> Candidate:
    found = Candidate(name, connect.config(name), connect.state(name)[0])
    class_name = found.config.get("connector.class", "")
    try:
        plugin = plugins.find("connector", class_name)
    except ConfigError:
        told = other_connectors.about(class_name) or "is not among the connectors of this service."
        found.remarks.append(Remark("error", "connector.class", f"{found.kind} {told}"))
        return found
    if not plugin.handover:
        found.remarks.append(Remark("error", "connector.class", f"{found.kind} is none of Debezium's connectors, nor "
                                    "Confluent's JdbcSourceConnector, whose offsets can be taken over. Create it here "
                                    "as a new one."))
        return found
    found.handover = plugins.resolve(plugin.handover)
    found.remarks += check(found.config)
    found.remarks += [Remark(
        "warning", key, "it is not in the connector's configuration, so the converter is that of Kafka Connect's "
        "worker, which REST does not show. Write it and its keys into the worker's file here.")
        for key in _CONVERTERS if key not in found.config]
    look(found, offsets)
    return found


def look(candidate: Candidate, offsets: Offsets) -> None:
    """Read its offsets, and replace the remarks on them."""
    assert candidate.handover is not None
    candidate.remarks = [each for each in candidate.remarks if each.about != "offset"]
    given = offsets(candidate.name)
    if given is None:
        candidate.remarks.append(Remark(
            "error", "offset", "this Kafka Connect does not tell offsets over REST (it is older than 3.5). Name its "
            "offset topic: --offset-topic, and --bootstrap-servers or --command-config."))
        return
    candidate.offsets, remarks = candidate.handover.chosen(candidate.config, given)
    candidate.remarks += remarks
    for _, offset in candidate.offsets:
        candidate.remarks += candidate.handover.taken_over(offset)


# -- taking over ------------------------------------------------------------------------------------------------------


def take(candidate: Candidate, connect: ConnectRest, offsets: Offsets, target: Target, tell: Callable[[str], None],
         timeout_s: float) -> str:
    """Stop *candidate* in *connect*, and put it into *target*, which was prepared. Returns what is to be done next.

    *tell* gets sentences for the person who waits. Raises TakeoverError; the connector then runs again in *connect*, or
    is paused as before, unless the hint says otherwise."""
    name = candidate.name
    running = candidate.state not in ("STOPPED", "")
    if running:
        tell(f"{name}: stopping it in Kafka Connect.")
    seen = connect.stop(name)
    with _resumed_on_failure(candidate, connect, tell, resume=running and seen):
        if seen:
            _wait_stopped(connect, name, timeout_s)
        else:
            tell(f"{name}: this Kafka Connect cannot stop a connector, because it is older than 3.5. End it there "
                 f"within {timeout_s:g} s: curl -X DELETE {connect.url}/connectors/{name}. Its offsets stay.")
            _wait_gone(connect, name, timeout_s)
        _settle(candidate, offsets, _SETTLE_S if seen else _SETTLE_UNSEEN_S, timeout_s)
        if not candidate.ready:
            errors = " ".join(each.text for each in candidate.remarks if each.level == "error")
            raise TakeoverError(f"Connector {name} cannot be taken over: its last offset: {errors}")
        target.put(candidate)
    return target.begin(candidate)


@contextmanager
def _resumed_on_failure(candidate: Candidate, connect: ConnectRest, tell: Callable[[str], None], *,
                        resume: bool) -> Iterator[None]:
    try:
        yield
    except BaseException as exc:  # Ctrl-C, too
        hint = f"Connector {candidate.name} is as it was in Kafka Connect."
        if resume:
            paused = candidate.state == "PAUSED"
            try:
                (connect.pause if paused else connect.resume)(candidate.name)
                hint = f"Connector {candidate.name} {'is paused' if paused else 'runs'} again in Kafka Connect."
            except (ConnectError, NotReadyError):
                hint = (f"Connector {candidate.name} is stopped in Kafka Connect. To {'pause' if paused else 'run'} it "
                        f"again there: curl -X PUT {connect.url}/connectors/{candidate.name}/"
                        f"{'pause' if paused else 'resume'}.")
        if isinstance(exc, CdcError):
            raise TakeoverError(exc.message, hint=f"{exc.hint} {hint}".strip(), **exc.context) from exc
        tell(hint)
        raise


def _wait_stopped(connect: ConnectRest, name: str, timeout_s: float) -> None:
    """Until the tasks have ended. A worker removes a task's state when its task has committed for the last time."""
    until = time.monotonic() + timeout_s
    while (state := connect.state(name)) != ("STOPPED", []):
        if time.monotonic() > until:
            told = ", ".join(filter(None, (state[0], *(f"task {each}" for each in state[1])))) or "unknown"
            raise TakeoverError(f"Connector {name} did not stop within {timeout_s:g} s. Its state is {told}.")
        time.sleep(_POLL_S)


def _wait_gone(connect: ConnectRest, name: str, timeout_s: float) -> None:
    until = time.monotonic() + timeout_s
    while True:
        try:
            if name not in connect.connectors():
                return
        except NotReadyError:
            return  # its worker was shut down
        if time.monotonic() > until:
            raise TakeoverError(f"Connector {name} was not ended within {timeout_s:g} s.")
        time.sleep(_POLL_S)


def _settle(candidate: Candidate, offsets: Offsets, settle_s: float, timeout_s: float) -> None:
    """Read the offsets until they stay the same for *settle_s*."""
    until = time.monotonic() + timeout_s + settle_s
    while True:
        look(candidate, offsets)
        before = candidate.offsets
        time.sleep(settle_s)
        look(candidate, offsets)
        if candidate.offsets == before:
            return
        if time.monotonic() > until:
            raise TakeoverError(f"The offsets of connector {candidate.name} still change. Is it running elsewhere?")


# -- targets ----------------------------------------------------------------------------------------------------------


class Files:
    """*store* is the offset store of a worker, started; *folder* gets a file for each connector, and *worker* is what
    `cdc run` is to be given before it. *replace*: also what is there already."""

    def __init__(self, store: OffsetStore, folder: Path, worker: str, *, replace: bool) -> None:
        self._store = store
        self._folder = folder
        self._worker = worker
        self._replace = replace

    def path(self, candidate: Candidate) -> Path:
        """Raises ConfigError for a name that is not one of a file."""
        name = candidate.name
        if "/" in name or "\0" in name or name in ("", ".", ".."):
            raise ConfigError(f"The name of connector {name} cannot be that of a file.",
                              hint="Take it over with --to, or give it another name in Kafka Connect first.")
        return self._folder / f"{name}.json"

    def prepare(self, candidate: Candidate) -> None:
        path = self.path(candidate)
        if not self._folder.is_dir():
            raise ConfigError(f"There is no folder {self._folder}.", hint="--out names an existing folder.")
        if not os.access(self._folder, os.W_OK):
            raise ConfigError(f"The folder {self._folder} cannot be written.")
        if path.exists() and not self._replace and path.read_bytes() != _text(candidate).encode():
            raise ConfigError(f"There is a file {path} already, with another content. Nothing was changed.",
                              hint="Remove it, or repeat the command with --replace.")
        for partition, _ in candidate.offsets:
            self._store.hold(candidate.name, partition)
            if self._store.load(candidate.name, partition) is not None and not self._replace:
                raise OffsetStoreError(
                    f"There is an offset of connector {candidate.name} here already. Nothing was changed.",
                    hint="It was taken over before. To begin where Kafka Connect is now, repeat the command with "
                         "--replace.")

    def put(self, candidate: Candidate) -> None:
        """The file appears when its offset is stored: without one, the connector would begin with a snapshot."""
        path = self.path(candidate)
        new = ""
        try:
            number, new = tempfile.mkstemp(prefix=f".{path.name}.", dir=self._folder)  # for its owner alone
            with open(number, "w", encoding="utf-8") as file:
                file.write(_text(candidate))
                file.flush()
                os.fsync(file.fileno())
            for partition, offset in candidate.offsets:
                self._store.commit(candidate.name, partition, offset)
            os.replace(new, path)
            new = ""
        except OSError as exc:
            raise ConfigError(f"{path} cannot be written: {exc.strerror}.") from exc
        finally:
            if new:  # passwords stand in it
                with suppress(OSError):
                    os.unlink(new)

    def begin(self, candidate: Candidate) -> str:
        return f"Start it: cdc run {self._worker} {self.path(candidate)}"


def _text(candidate: Candidate) -> str:
    return json.dumps({"name": candidate.name, "config": candidate.config}, ensure_ascii=False, indent=2) + "\n"


class Service:
    """A running `cdc`, where connectors are created over REST."""

    def __init__(self, service: ConnectRest, *, timeout_s: float) -> None:
        self._service = service
        self._timeout_s = timeout_s

    def prepare(self, candidate: Candidate) -> None:
        if candidate.name in self._service.connectors():
            raise ConfigError(f"There is a connector {candidate.name} in {self._service.url} already. Nothing was "
                              "changed.", hint="Delete it there, or leave this one out with --connector.")
        errors = self._service.validate(candidate.config)
        if errors:
            raise ConfigError(f"{self._service.url} does not accept the configuration of connector {candidate.name}: "
                              f"{' '.join(f'{key}: {text}' for key, text in errors)} Nothing was changed.")

    def put(self, candidate: Candidate) -> None:
        self._service.create_stopped(candidate.name, candidate.config)
        try:
            if candidate.offsets:
                self._service.alter_offsets(candidate.name, candidate.offsets)
        except BaseException:  # Ctrl-C, too: without its offset, it would begin with a snapshot
            self._service.delete(candidate.name)
            raise

    def begin(self, candidate: Candidate) -> str:
        name = candidate.name
        self._service.resume(name)
        until = time.monotonic() + self._timeout_s
        while time.monotonic() < until:
            state, tasks = self._service.state(name)
            if "FAILED" in (state, *tasks):
                raise TakeoverError(
                    f"Connector {name} was taken over by {self._service.url}, and failed there: "
                    f"{self._service.failure(name)}", hint="Its offset is kept. Repair the cause and restart it there. "
                    "Do not run it in Kafka Connect at the same time.")
            if state == "RUNNING" and tasks and set(tasks) == {"RUNNING"}:
                return f"It runs in {self._service.url}."
            time.sleep(_POLL_S)
        return f"It starts in {self._service.url}: {self._service.url}/connectors/{name}/status says how far it is."
