"""The clients that a Kafka sink may use, as parameters of a test."""

from __future__ import annotations

from typing import Final

import pytest

from cdc.kafka.client import unavailable

CLIENTS: Final = [pytest.param("native", marks=pytest.mark.skipif(bool(unavailable()), reason=unavailable())), "python"]
