"""Commands run within the tests' process."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _logging_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command would set up logging for the whole process, and loggers would keep that for ever."""
    monkeypatch.setattr("cdc.log.configure", lambda *_, **__: None)
