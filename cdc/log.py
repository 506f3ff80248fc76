"""Logging: fixed event names with keys, one line each, on standard error.

`log.info("slot_created", slot=name, lsn=str(lsn))`. On a terminal the lines are text; anywhere else, or with
`CDC_LOG_FORMAT=json`, each line is a JSON object. `CDC_LOG_LEVEL` is debug, info (default), warning or error. Records
of the standard library's `logging` (uvicorn, confluent-kafka) are written the same way, from level warning up.

Connector and task are bound once for each thread: `with bound(connector=name, task=0): …`; a thread started from
there gets them with `carry`. Secrets are hidden, whatever a caller passes: see `config/secrets.py`.
A CdcError is logged as message, hint and context; stack traces are for bugs, and for level debug.
"""

from __future__ import annotations

import contextvars
import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, Final, TextIO, cast

import structlog
from structlog.stdlib import ProcessorFormatter

from cdc.config.secrets import HIDDEN, Secret, is_secret_key, scrub
from cdc.core.errors import CdcError, ConfigError
from cdc.core.late_regex import late_regex

LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
FORMATS: Final = ("json", "text")
_QUIET_SECONDS: Final = 10.0
_REMEMBERED: Final = 1000
_FIRST: Final = ("timestamp", "level", "event", "connector", "task")
_COLORS: Final = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m"}
_DIM, _BOLD, _RESET = "\x1b[2m", "\x1b[1m", "\x1b[0m"
_PLAIN = late_regex(r"[^\s\"=\x00-\x20\x7f-\x9f]+")
_CONTROL = late_regex(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

Logger = structlog.stdlib.BoundLogger
EventDict = MutableMapping[str, Any]


def get_logger(name: str | None = None) -> Logger:
    """The logger of module *name* (`__name__`). May be called at import, before `configure`.

    Until then warnings alone are printed, as text. What a command prints on standard output is what it was asked for.
    """
    return structlog.stdlib.get_logger(name)


def bound(**names: Any) -> AbstractContextManager[Any]:
    """Adds *names* (connector, task) to every line of this thread, or coroutine, while the block runs."""
    return structlog.contextvars.bound_contextvars(**names)


def carry(run: Callable[..., Any]) -> Callable[..., Any]:
    """A function for a new thread: *run* with the names that are bound in this thread now."""
    context = contextvars.copy_context()
    return lambda *args, **kwargs: context.run(run, *args, **kwargs)


def configure(level: str | None = None, form: str | None = None, stream: TextIO | None = None) -> None:
    """Set up logging for the process; may be called again. The environment has priority over *level* and *form*, so
    that an operator sees more without changing a configuration. Raises ConfigError on an unknown level or format.
    """
    out = stream or sys.stderr
    threshold = _level(os.environ.get("CDC_LOG_LEVEL") or level or "info")
    renderer = _renderer(os.environ.get("CDC_LOG_FORMAT") or form or ("text" if out.isatty() else "json"), out)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_shared(), ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(ignore_frame_names=["cdc.log"]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(ProcessorFormatter(
        processors=[ProcessorFormatter.remove_processors_meta, _exceptions, redact, renderer],
        foreign_pre_chain=_shared(),
        use_get_message=True,
    ))
    handler.addFilter(_ours_or_serious)
    handler.addFilter(_Repeats())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    logging.captureWarnings(True)
    threading.excepthook = _thread_crashed


def _shared() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _level(name: str) -> int:
    try:
        return LEVELS[name.lower()]
    except KeyError:
        raise ConfigError(f"There is no log level {name!r}.", option="CDC_LOG_LEVEL",
                          hint=f"Use one of {', '.join(LEVELS)}.") from None


def _renderer(form: str, stream: TextIO) -> Callable[[Any, str, EventDict], str]:
    if form not in FORMATS:
        raise ConfigError(f"There is no log format {form!r}.", option="CDC_LOG_FORMAT",
                          hint=f"Use one of {', '.join(FORMATS)}.")
    if form == "json":
        return render_json
    return render_color if stream.isatty() and not os.environ.get("NO_COLOR") else render_text


def _ours_or_serious(record: logging.LogRecord) -> bool:
    """Libraries log from level warning up: below it, some of them print headers and payloads."""
    return record.levelno >= logging.WARNING or hasattr(record, "_logger") or record.name.split(".")[0] == "cdc"


class _Repeats:
    """Logs the same message of a library once in `_QUIET_SECONDS`, because librdkafka repeats a refused connection
    thousands of times. The next line adds how many were suppressed."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def __call__(self, record: logging.LogRecord) -> bool:
        if hasattr(record, "_logger"):
            return True
        key = (record.name, record.getMessage())
        since, count = self._said.get(key, (0.0, 0))
        if record.created - since < _QUIET_SECONDS:
            self._said[key] = since, count + 1
            return False
        if len(self._said) > _REMEMBERED:
            self._said.clear()
        self._said[key] = record.created, 0
        if count:
            record.msg, record.args = f"{key[1]} [held back {count} times]", ()
        return True


def redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Hides secrets by key at any depth, and inside text."""
    for key, value in event.items():
        event[key] = _redacted(key, value)
    return event


def _redacted(key: str, value: Any) -> Any:
    if isinstance(value, Secret) or (value not in (None, True, False) and is_secret_key(key)):
        return HIDDEN
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {str(name): _redacted(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted("", inner) for inner in value]
    if isinstance(value, BaseException):
        return scrub(_summary(value))
    return value if isinstance(value, int | float | type(None)) else scrub(str(value))


def _exceptions(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Turns `exc_info` into `error`, `hint` and `context`, and for bugs or level debug into a stack trace."""
    exc = _exception(event.pop("exc_info", None))
    if exc is None:
        return event
    event["error_class"] = type(exc).__name__
    if isinstance(exc, CdcError):
        event.setdefault("error", exc.message)
        event.update({"hint": exc.hint} if exc.hint else {})
        event.update({"context": {k: v for k, v in exc.context.items() if v is not None}} if exc.context else {})
        event.update({"cause": type(exc.__cause__).__name__} if exc.__cause__ else {})
    else:
        event.setdefault("error", _summary(exc))
    if not isinstance(exc, CdcError) or logging.getLogger().isEnabledFor(logging.DEBUG):
        event["trace"] = "".join(traceback.format_exception(exc)).rstrip()
    return event


def _exception(info: Any) -> BaseException | None:
    if isinstance(info, BaseException):
        return info
    found = info[1] if isinstance(info, tuple) else sys.exc_info()[1] if info else None
    return cast(BaseException | None, found)


def _summary(exc: BaseException) -> str:
    return str(exc) if isinstance(exc, CdcError) else f"{type(exc).__name__}: {exc}"[:500]


def _ordered(event: EventDict) -> dict[str, Any]:
    first = {key: event[key] for key in _FIRST if key in event}
    return first | {key: value for key, value in event.items() if key not in first}


def render_json(_logger: Any, _method: str, event: EventDict) -> str:
    """One JSON object on one line; control characters are escaped by JSON itself."""
    return json.dumps(_ordered(event), ensure_ascii=False, default=str)


def render_text(_logger: Any, _method: str, event: EventDict) -> str:
    """`12:03:11.482 info    slot_created slot=orders lsn=0/16B3748`"""
    return _line(event, "", "", "", "")


def render_color(_logger: Any, _method: str, event: EventDict) -> str:
    return _line(event, _COLORS.get(event.get("level", ""), ""), _BOLD, _DIM, _RESET)


def _line(event: EventDict, color: str, bold: str, dim: str, reset: str) -> str:
    rest = dict(event)
    clock, level, name, trace = (str(rest.pop(key, "")) for key in ("timestamp", "level", "event", "trace"))
    rest.pop("logger", None)
    rest |= rest.pop("context", None) or {}
    pairs = "".join(f" {dim}{_safe(key)}={reset}{_quoted(value)}" for key, value in _ordered(rest).items())
    tail = "\n" + _safe(trace) if trace else ""
    return f"{dim}{clock[11:23]}{reset} {color}{level:<7}{reset} {bold}{_safe(name)}{reset}{pairs}{tail}"


def _safe(text: str) -> str:
    """Without the characters that a terminal interprets."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def _quoted(value: Any) -> str:
    if isinstance(value, dict | list):
        return _safe(json.dumps(value, ensure_ascii=False, default=str))
    text = str(value)
    return text if _PLAIN.fullmatch(text) else _safe(json.dumps(text, ensure_ascii=False))


def _thread_crashed(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit:
        return
    name = args.thread.name if args.thread else "?"
    get_logger("cdc").error("thread_crashed", thread=name, exc_info=args.exc_value)


if not structlog.is_configured():  # else structlog would print every line on standard output
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_shared(), _exceptions, redact, render_text],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(ignore_frame_names=["cdc.log"]),
    )
