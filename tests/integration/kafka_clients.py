"""The clients that a Kafka sink may use, as parameters of a test; and those among them that run librdkafka."""

from __future__ import annotations

from typing import Final

import pytest

from cdc.kafka.client import unavailable
from cdc.native import module

LIBRDKAFKA: Final = [
    pytest.param("native", marks=pytest.mark.skipif(bool(unavailable()), reason=unavailable())), "python"]
CLIENTS: Final = [
    *LIBRDKAFKA,
    pytest.param("batches", marks=pytest.mark.skipif(module("recordsets") is None, reason="no compiled modules"))]
