"""The pipe that wakes the replication reader out of its poll."""

from __future__ import annotations

import select

from cdc.sources.postgres.replication import WakePipe


def readable(pipe: WakePipe) -> bool:
    poller = select.poll()
    poller.register(pipe.fd, select.POLLIN)
    return bool(poller.poll(0))


def test_a_call_wakes_until_the_pipe_is_drained() -> None:
    pipe = WakePipe()
    assert not readable(pipe)
    pipe()
    pipe()
    assert readable(pipe)
    pipe.drain()
    assert not readable(pipe)
    pipe.drain()
    pipe.close()


def test_a_call_never_blocks() -> None:
    pipe = WakePipe()
    for _ in range(200_000):  # more than a pipe holds
        pipe()
    assert readable(pipe)
    pipe.drain()
    assert not readable(pipe)
    pipe.close()


def test_calls_after_the_end_do_nothing() -> None:
    pipe = WakePipe()
    pipe.close()
    pipe.close()
    pipe()
    assert pipe.fd == -1
