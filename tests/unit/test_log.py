"""cdc/log.py: what gets out, and what does not."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from cdc import log
from cdc.config.secrets import Secret
from cdc.core.errors import ConfigError, SourceConnectionError

SECRET = "hunter2-geheim"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("CDC_LOG_LEVEL", "CDC_LOG_FORMAT", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    root = logging.getLogger()
    handlers, level, hook, before = root.handlers[:], root.level, threading.excepthook, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    threading.excepthook = hook
    logging.captureWarnings(False)
    structlog.configure(**before)
    structlog.contextvars.clear_contextvars()


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def configured(level: str | None = None, form: str | None = None) -> io.StringIO:
    out = io.StringIO()
    log.configure(level, form, out)
    return out


def test_lines_are_json_when_nobody_watches() -> None:
    out = configured()
    log.get_logger("cdc.x").info("slot_created", slot="s", lsn="0/16B3748")
    line = lines(out)[0]
    assert (line["event"], line["level"], line["slot"], line["logger"]) == ("slot_created", "info", "s", "cdc.x")
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert line["timestamp"].endswith("Z")


def test_lines_are_readable_on_a_terminal() -> None:
    out = Terminal()
    log.configure(stream=out)
    log.get_logger("cdc.x").warning("slow", table='a "b"', ms=3)
    assert "\x1b[" in out.getvalue()
    assert "slow" in out.getvalue()
    assert '"a \\"b\\""' in out.getvalue()


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    log.configure(stream=out)
    log.get_logger("cdc.x").info("slow", table="t", trace="Traceback\n  x")
    assert "\x1b" not in out.getvalue()
    assert " info    slow table=t\nTraceback\n  x" in out.getvalue()


def test_hostile_names_do_not_reach_the_terminal_raw() -> None:
    out = configured(form="text")
    log.get_logger("cdc.x").info("found", table="a\x1b[2Jb\r\n\x9bc", names=["\x1b]0;x\x07", "\x9b"])
    assert not any(c in out.getvalue() for c in "\x1b\r\x07\x9b")
    assert out.getvalue().count("\n") == 1


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("level", ["debug", "info"])
def test_secrets_never_appear(form: str, level: str) -> None:
    out = configured(level, form)
    logger = log.get_logger("cdc.x").bind(database_password=SECRET)
    logger.info("a", password=SECRET, config={"database.password": SECRET, "deep": [{"ssl.key.password": SECRET}]})
    logger.info("b", url=f"http://u:{SECRET}@h/", dsn=f"host=h password={SECRET}", token=SECRET.encode())
    logger.info("b", anything=Secret(SECRET), nested=[Secret(SECRET)])
    logger.info(f"free text http://u:{SECRET}@h")
    logger.info("c", error=SourceConnectionError(f"no route, password={SECRET}", url=f"http://u:{SECRET}@h"))
    with log.bound(sasl_jaas_config=f'x password="{SECRET}"'):
        logger.info("d")
    for exc in (SourceConnectionError(f"password='{SECRET}'", dsn=f"postgresql://u:{SECRET}@h"),
                ValueError(f"postgresql://u:{SECRET}@h")):
        try:
            raise exc
        except Exception:
            logger.exception("e")
    logging.getLogger("uvicorn.error").error("failed with http://u:%s@h", SECRET)
    assert SECRET not in out.getvalue()
    assert "database.password" in out.getvalue()
    assert len([line for line in out.getvalue().splitlines() if "failed with http://h" in line]) == 1


def test_expected_errors_come_without_a_stack_trace() -> None:
    out = configured()
    try:
        try:
            raise OSError("cell value")
        except OSError as exc:
            raise SourceConnectionError("Gone.", hint="Wait.", slot="s", host=None) from exc
    except SourceConnectionError:
        log.get_logger("cdc.x").exception("source_lost")
    line = lines(out)[0]
    assert (line["error"], line["hint"], line["context"]) == ("Gone.", "Wait.", {"slot": "s"})
    assert (line["error_class"], line["cause"]) == ("SourceConnectionError", "OSError")
    assert "trace" not in line
    assert "cell value" not in out.getvalue()


def test_expected_errors_have_a_stack_trace_at_debug() -> None:
    out = configured("debug")
    log.get_logger("cdc.x").error("source_lost", exc_info=SourceConnectionError("Gone."))
    assert "SourceConnectionError: Gone." in lines(out)[0]["trace"]


def test_bugs_always_have_a_stack_trace() -> None:
    out = configured()
    log.get_logger("cdc.x").error("task_failed", exc_info=ZeroDivisionError("division by zero"))
    assert "ZeroDivisionError: division by zero" in lines(out)[0]["trace"]


def test_libraries_are_heard_from_warning_up() -> None:
    out = configured("debug")
    logging.getLogger("httpcore").debug("send_request_headers authorization")
    logging.getLogger("confluent_kafka").warning("broker down")
    logging.getLogger("cdc.y").debug("ours")
    assert [line["event"] for line in lines(out)] == ["broker down", "ours"]


def test_a_library_that_repeats_itself_is_heard_once_in_a_while() -> None:
    out = configured()
    library = logging.getLogger("librdkafka")
    for _ in range(500):
        library.error("refused %s", 1)
    library.error("refused %s", 2)
    assert [line["event"] for line in lines(out)] == ["refused 1", "refused 2"]
    later = library.makeRecord("librdkafka", logging.ERROR, "f", 1, "refused %s", (1,), None)
    later.created += 60
    library.handle(later)
    assert lines(out)[-1]["event"] == "refused 1 [held back 499 times]"


def test_level_from_the_environment_holds_lines_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDC_LOG_LEVEL", "WARNING")
    out = configured()
    log.get_logger("cdc.x").info("quiet")
    log.get_logger("cdc.x").warning("loud")
    assert [line["event"] for line in lines(out)] == ["loud"]


@pytest.mark.parametrize(("variable", "value"), [("CDC_LOG_LEVEL", "loud"), ("CDC_LOG_FORMAT", "xml")])
def test_a_bad_setting_is_a_config_error_that_names_it(monkeypatch: pytest.MonkeyPatch, variable: str,
                                                       value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as caught:
        configured()
    assert caught.value.option == variable
    assert caught.value.hint


def test_connector_and_task_are_on_every_line_of_the_thread_and_of_those_it_starts() -> None:
    out = configured()
    logger = log.get_logger("cdc.x")
    with log.bound(connector="c", task=0):
        logger.info("here")
        thread = threading.Thread(target=log.carry(lambda: logger.info("there")))
        thread.start()
        thread.join()
    logger.info("outside")
    assert [line.get("connector") for line in lines(out)] == ["c", "c", None]


def test_a_crashed_thread_is_logged() -> None:
    out = configured()

    def crash() -> None:
        raise ZeroDivisionError

    thread = threading.Thread(target=crash, name="reader")
    thread.start()
    thread.join()
    assert (lines(out)[0]["event"], lines(out)[0]["thread"]) == ("thread_crashed", "reader")


def test_a_process_that_does_not_set_up_the_log_prints_warnings_alone_and_on_standard_error() -> None:
    code = ("from cdc.log import get_logger; log = get_logger('cdc.x')\n"
            "log.info('chosen')\nlog.warning('careful', password='hunter2', left=1)\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr.split()[1:] == ["warning", "careful", "password=[hidden]", "left=1"]
