# ruff: noqa: F821
# mypy: disable-error-code="name-defined, no-any-return"
# Under `cython.compiled` this calls C functions that only its .pxd declares.
"""The common header of the binary log's events."""

from __future__ import annotations

import struct

import cython

from cdc.core.errors import ProtocolError

from . import const

_HEADER = struct.Struct("<IBIIIH")


class Header:
    """The common header, which every event begins with.

    *timestamp*: when the statement began, in seconds since 1970 on the server that ran it. 0 in events that the server
    makes up for the connection.
    *length*: bytes of the whole event in the log, with its checksum.
    *next_position*: where the next event starts in the file. 0 in made-up events and within a payload. The log has its
    low 32 bits; `BinlogDecoder` adds the rest.
    """

    def __init__(self, timestamp: int, type: int, server_id: int, length: int, next_position: int, flags: int) -> None:
        self.timestamp = timestamp
        self.type = type
        self.server_id = server_id
        self.length = length
        self.next_position = next_position
        self.flags = flags


def parse_header(event: bytes) -> Header:
    """Reads the first 19 bytes of a whole event. Raises ProtocolError if its length is wrong."""
    if len(event) < const.HEADER_LEN:
        raise ProtocolError("event ends too early", offset=0, wanted=const.HEADER_LEN, got=len(event))
    header = read_header(event) if cython.compiled else Header(*_HEADER.unpack_from(event))
    if header.length != len(event):
        raise ProtocolError("event's length is not its own", offset=9, wanted=len(event), got=header.length,
                            event_type=header.type)
    return header
