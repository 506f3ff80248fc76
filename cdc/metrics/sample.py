"""One number of a scrape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .catalogue import Metric


class Sample(NamedTuple):
    """*labels* are all labels of the sample, in the order in which a scrape shows them."""

    metric: Metric
    labels: Mapping[str, str]
    value: float
