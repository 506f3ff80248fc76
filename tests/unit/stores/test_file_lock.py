"""The lock beside an offset file: who has it, and that it ends with its process."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cdc.core.errors import OffsetsHeldError, OffsetStoreError, OwnerLostError
from cdc.stores.file_offsets import FileOffsetStore

PLACE = "shop", {"server": "s"}
HOLDER = """\
import sys
from cdc.stores.file_offsets import FileOffsetStore
store = FileOffsetStore(sys.argv[1])
store.start()
store.hold('shop', {'server': 's'})
print('held', flush=True)
sys.stdin.read()
store.close()
"""


def opened(path: Path) -> FileOffsetStore:
    store = FileOffsetStore(path)
    store.start()
    return store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "offsets.db"


def holder(path: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_the_second_process_is_told_which_one_is_first(path: Path) -> None:
    process = holder(path)
    store = opened(path)
    try:
        with pytest.raises(OffsetsHeldError, match=f"process {process.pid} on host {os.uname().nodename}") as caught:
            store.hold(*PLACE)
        assert caught.value.retriable
        assert store.load(*PLACE) is None, "who only reads needs no lock"
        store.hold("other", {"server": "s"})
    finally:
        process.communicate(b"")
    store.hold(*PLACE)
    store.close()


def test_the_holder_is_seen_without_a_trace(path: Path) -> None:
    looking = FileOffsetStore(path)
    assert looking.owner(*PLACE) == (None, False)
    assert list(path.parent.iterdir()) == [], "nothing was made"
    process = holder(path)
    owner, runs = looking.owner(*PLACE)
    assert (owner is not None and owner.pid, runs) == (process.pid, True)
    assert looking.owner("other", PLACE[1]) == (None, False)
    process.kill()
    process.communicate()
    assert looking.owner(*PLACE) == (None, False), "a lock ends with its process"
    for lock in path.parent.glob("*.lock"):
        lock.chmod(0)
    assert looking.owner(*PLACE) == (None, False)
    looking.close()


def test_a_killed_process_keeps_nobody_away(path: Path) -> None:
    process = holder(path)
    process.kill()
    process.communicate()
    store = opened(path)
    store.hold(*PLACE)
    store.close()


def test_a_stopped_process_is_called_so(path: Path) -> None:
    """It would go on when it is continued, so that nobody may take its place."""
    process = holder(path)
    store = opened(path)
    try:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        with pytest.raises(OffsetsHeldError, match="stopped by a signal") as caught:
            store.hold(*PLACE)
        assert f"kill -CONT {process.pid}" in caught.value.hint
    finally:
        process.send_signal(signal.SIGCONT)
        process.communicate(b"")
        store.close()


def test_an_orderly_end_leaves_no_files(path: Path) -> None:
    store = opened(path)
    store.hold(*PLACE)
    assert len(list(path.parent.glob("*.lock"))) == 1
    assert all(each.stat().st_mode & 0o777 == 0o600 for each in path.parent.glob("*.lock"))
    store.release(*PLACE)
    store.hold(*PLACE)
    store.close()
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_link_in_the_locks_place_is_an_error(path: Path, tmp_path: Path) -> None:
    store = opened(path)
    store.hold(*PLACE)
    lock, = path.parent.glob("*.lock")
    store.release(*PLACE)
    lock.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OffsetStoreError, match="lock"):
        store.hold(*PLACE)
    assert not (tmp_path / "elsewhere").exists()
    store.close()


def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)


def test_where_there_are_no_locks_the_generation_protects(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_locks(monkeypatch)
    one, two = opened(path), opened(path)
    for store in (one, two):
        store.hold(*PLACE)
    assert one.claim(*PLACE, None).generation == 1
    one.commit(*PLACE, {"lsn": 1})
    assert two.claim(*PLACE, {"lsn": 1}).generation == 2
    for late in (lambda: one.commit(*PLACE, {"lsn": 0}), lambda: one.hold(*PLACE),
                 lambda: one.claim(*PLACE, {"lsn": 1})):
        with pytest.raises(OwnerLostError, match="taken over by process"):
            late()
    two.commit(*PLACE, {"lsn": 2})
    assert one.load(*PLACE) == {"lsn": 2}
    one.close()
    two.close()


def test_a_flipped_bit_in_a_claim_is_damage(path: Path) -> None:
    store = opened(path)
    store.claim(*PLACE, None)
    store._open.execute("UPDATE claims SET generation = 9")
    with pytest.raises(OffsetStoreError, match="damaged"):
        store.commit(*PLACE, {"lsn": 1})
    store.close()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EWOULDBLOCK])
def test_a_lock_that_is_taken_has_two_error_numbers(path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Network file systems make a record lock of it, and those may answer with EACCES: fcntl(2), F_SETLK."""
    def taken(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    store = opened(path)
    monkeypatch.setattr("cdc.stores.file_lock.fcntl.flock", taken)
    with pytest.raises(OffsetsHeldError):
        store.hold(*PLACE)
    store.close()
