"""Rows made from a schema, in the pace that the configuration asks for.

A row depends on the seed and the number of rows before it only. Both are in the offset, so that a restart continues
the same sequence. Offsets and headers are those of kafka-connect-datagen (`DatagenTask.java`).
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cdc.core.errors import PositionLostError
from cdc.core.position import Offset
from cdc.core.record import Batch, Message, Record
from cdc.core.schema import INT64, STRING, Schema
from cdc.log import get_logger
from cdc.sources.shared.polled import PolledSource, whole_of

from .options import DatagenConfig, node_of
from .randoms import JavaRandom, signed
from .values import Made, Steps

log = get_logger(__name__)

_GENERATION: Final = "task.generation"
_COUNT: Final = "current.iteration"
_SEED: Final = "random.seed"
_STEPS: Final = "cdc.steps"
_TASK: Final = "task.id"
_NUMBER: Final = Schema(INT64)
_NO_KEY: Final = Schema(STRING, optional=True)
_MOST_ROWS: Final = 500
_MOST_BYTES: Final = 4 << 20
_CATCH_UP_S: Final = 1.0
"""A task that was held up makes good for this time at most."""


@dataclass(frozen=True, slots=True)
class DatagenPosition:
    """*count* rows were made; *seed* makes the next one. *steps*: how many values each iteration made, empty if that
    is *count* for all."""

    generation: int
    count: int
    seed: int
    steps: tuple[int, ...]

    def offset(self) -> dict[str, Any]:
        steps = {_STEPS: ",".join(map(str, self.steps))} if self.steps else {}
        return {_GENERATION: self.generation, _COUNT: self.count, _SEED: self.seed, **steps}


def position_of(offset: Offset) -> DatagenPosition:
    """The position of a stored *offset*. Raises PositionLostError."""
    try:
        generation, count = whole_of(offset, _GENERATION, 0, 2**63 - 1), whole_of(offset, _COUNT, 0, 2**63 - 1)
        seed = whole_of(offset, _SEED, -(2**63), 2**63 - 1)
        steps = tuple(int(each) for each in str(offset.get(_STEPS) or "").split(",") if each)
        if count is None or seed is None:
            raise ValueError("no count, or no seed")
    except ValueError as exc:
        raise PositionLostError(f"The stored offset is none of this connector: {exc}.",
                                hint="Reset the connector's offset to begin with the first row.") from exc
    return DatagenPosition(generation or 0, count, seed, steps)


class DatagenSource(PolledSource):
    """Implements `core.interfaces.Source`."""

    def __init__(self, config: DatagenConfig) -> None:
        super().__init__()
        self._config = config
        made = Made()
        self._node = node_of(config.schema, made)
        self._steps: list[Steps] = made.steps
        names = [field.name for field in self._node.schema.fields]
        self._key = names.index(config.schema_keyfield) if config.schema_keyfield else None
        self._key_schema = _NO_KEY if self._key is None else self._node.schema.fields[self._key].schema
        self._seed = 0
        self._rng = JavaRandom(0)
        self._count = 0
        self._generation = 0
        self._most = max(1, min(_MOST_ROWS, _MOST_BYTES // max(1, self._node.most)))

    def partition(self) -> Mapping[str, Any]:
        return {_TASK: 0}

    def check_offset(self, offset: Offset) -> None:
        position_of(offset)

    def start(self, offset: Offset | None) -> None:
        seed = self._config.random_seed
        if seed is None:
            seed = signed(secrets.randbits(64), 64)
        position = position_of(offset) if offset else DatagenPosition(0, 0, seed, ())
        self._seed = position.seed
        self._rng.seed(self._seed)
        self._count, self._generation = position.count, position.generation
        counts = position.steps if len(position.steps) == len(self._steps) else [self._count] * len(self._steps)
        for steps, count in zip(self._steps, counts, strict=True):
            steps.count = count
        self._due = time.monotonic()
        if self._is_done():
            log.info("datagen_completed", rows=self._count)
            self._finished = True

    def poll(self, timeout: float) -> Batch | None:
        if self._finished or not self._is_due(timeout):
            return None
        now = time.monotonic()
        self._due = max(self._due, now - _CATCH_UP_S)
        records: list[Record | Message] = []
        while self._due <= now and len(records) < self._most and not self._is_done():
            records.append(self._next())
            self._due += self._pause_s()
        if self._is_done():
            log.info("datagen_completed", rows=self._count)
            self._finished = True
        return Batch(records, self._position(), len(records) * min(self._node.most, 1 << 20), time.time_ns() // 1000,
                     {(self._config.kafka_topic, "c"): len(records)}, commit_soon=self._finished)

    def _is_done(self) -> bool:
        return 0 < self._config.iterations <= self._count

    def _pause_s(self) -> float:
        if self._config.cdc_datagen_rate:
            return 1 / self._config.cdc_datagen_rate
        return max(0, self._config.max_interval) * random.random() / 1000

    def _next(self) -> Message:
        value = self._node.make(self._rng)
        headers = ((_GENERATION, _NUMBER, self._generation), (_TASK, _NUMBER, 0), (_COUNT, _NUMBER, self._count))
        self._seed = self._rng.int64()
        self._rng.seed(self._seed)  # the rest of the sequence depends on nothing else
        self._count += 1
        return Message(self._config.kafka_topic, self._key_schema, None if self._key is None else value[self._key],
                       self._node.schema, value, headers=headers)

    def _position(self) -> DatagenPosition:
        counts = tuple(steps.count for steps in self._steps)
        steps = () if all(count == self._count for count in counts) else counts
        return DatagenPosition(self._generation + 1, self._count, self._seed, steps)
