"""The units of times."""

from __future__ import annotations

import pytest

from cdc.codecs.numbers import in_unit
from cdc.codecs.time import MICROS, MILLIS, NANOS
from cdc.core.errors import DecodeError

MOST = (1 << 63) - 1


@pytest.mark.parametrize(("micros", "unit", "wanted"), [
    (1_999, MILLIS, 1), (-1, MILLIS, -1), (-1_000, MILLIS, -1), (MOST, MILLIS, MOST // 1000), (7, MICROS, 7),
    (-MOST - 1, MICROS, -MOST - 1), (7, NANOS, 7_000), (MOST // 1000, NANOS, MOST // 1000 * 1000),
    (-(MOST // 1000), NANOS, -(MOST // 1000) * 1000)])
def test_a_time_is_rounded_down_to_its_unit(micros: int, unit: int, wanted: int) -> None:
    assert in_unit(micros, unit) == wanted


@pytest.mark.parametrize("micros", [MOST // 1000 + 1, -(MOST // 1000) - 1, MOST, -MOST - 1])
def test_what_does_not_fit_in_nanoseconds_is_refused(micros: int) -> None:
    with pytest.raises(DecodeError, match="does not fit 64 bits"):
        in_unit(micros, NANOS)
