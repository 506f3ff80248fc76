"""Ctrl-C that comes where Python drops its exception."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from cdc.cli.interrupts import noted_interrupts


class Dropping:
    """Its destructor is interrupted."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_inside_a_destructor_is_told() -> None:
    before = signal.getsignal(signal.SIGINT)
    with noted_interrupts() as check:
        check()
        Dropping()
        with pytest.raises(KeyboardInterrupt):
            check()
    assert signal.getsignal(signal.SIGINT) is before


def test_elsewhere_it_is_raised_at_once() -> None:
    with noted_interrupts(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_other_threads_have_nothing_to_note() -> None:
    done: list[bool] = []

    def run() -> None:
        with noted_interrupts() as check:
            check()
            done.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    assert done == [True]
