"""This process, as an owner of offsets, and what can be seen of another one on the same host."""

from __future__ import annotations

import calendar
import os
import platform
import time
import uuid
from pathlib import Path
from typing import Final

from cdc.core.owner import Owner

_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_BOOT: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_INEXACT_S: Final = 2.0


def this_process() -> Owner:
    """A new owner for this process; each call gives another *run*."""
    now = time.strftime(_TIME, time.gmtime())
    return Owner(platform.node(), os.getpid(), now, uuid.uuid4().hex)


def runs_here(owner: Owner) -> bool:
    """Whether *owner* is another process of this host that still runs. False where that cannot be seen.

    A process that started after *owner* did has only got its number.
    """
    if owner.host != platform.node() or owner.pid == os.getpid():
        return False
    try:
        ticks = int(Path(f"/proc/{owner.pid}/stat").read_text().rpartition(")")[2].split()[19])
        began = calendar.timegm(time.strptime(owner.since, _TIME))
    except (OSError, ValueError, IndexError):
        return False
    started = time.time() - time.clock_gettime(_BOOT) + ticks / os.sysconf("SC_CLK_TCK")
    return started <= began + _INEXACT_S


def is_paused(owner: Owner) -> bool:
    """Whether *owner* is a process of this host that a signal has stopped. False where that cannot be seen."""
    if owner.host != platform.node():
        return False
    try:
        stat = Path(f"/proc/{owner.pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[:1] in (["T"], ["t"])
