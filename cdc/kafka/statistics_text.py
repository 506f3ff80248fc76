"""The numbers that are read from the text of librdkafka's statistics. `statistics.py` adds them up."""

from __future__ import annotations

from typing import Final

import msgspec


class RoundTrip(msgspec.Struct, frozen=True):
    p99: int = 0


class Broker(msgspec.Struct, frozen=True):
    state: str = ""
    nodeid: int = -1
    waitresp_cnt: int = 0
    txretries: int = 0
    txerrs: int = 0
    req_timeouts: int = 0
    rtt: RoundTrip = RoundTrip()


class Told(msgspec.Struct):
    tx_bytes: int = 0
    rx_bytes: int = 0
    brokers: dict[str, Broker] = {}


_DECODER: Final = msgspec.json.Decoder(Told)


def read(text: str) -> Told | None:
    """What *text* says; None if it is not of librdkafka's form."""
    try:
        return _DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeError):
        return None
