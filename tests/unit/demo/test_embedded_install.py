"""Where the embedded server is looked for, and how its access is written down."""

from __future__ import annotations

import importlib.util

import pytest

from cdc.core.errors import ConfigError
from cdc.demo import postgres


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'cdc\[demo\]'"):
        postgres.find_install()


def test_a_user_name_is_one_token_of_the_ident_file() -> None:
    assert postgres.quoted('a b"c,d') == '"a b""c,d"'
