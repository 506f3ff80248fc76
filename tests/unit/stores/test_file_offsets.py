from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdc.core.errors import ConfigError, OffsetStoreError
from cdc.stores.file_offsets import FileOffsetStore, json_text

PARTITION = {"server": "shop"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "offsets.db"


@pytest.fixture
def store(path: Path) -> Iterator[FileOffsetStore]:
    store = FileOffsetStore(path)
    store.start()
    yield store
    store.close()


def test_json_is_compact_and_keeps_order_and_letters() -> None:
    assert json_text(["a", {"server": "späti", "b": None, "a": [1, True]}]) == (
        '["a",{"server":"späti","b":null,"a":[1,true]}]'
    )


def test_a_killed_process_leaves_its_last_commit(path: Path) -> None:
    code = (
        "import os, sys\n"
        "from cdc.stores.file_offsets import FileOffsetStore\n"
        "store = FileOffsetStore(sys.argv[1])\n"
        "store.start()\n"
        "store.commit('c', {'server': 'shop'}, {'lsn': 7})\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    store = FileOffsetStore(path)
    store.start()
    assert store.load("c", PARTITION) == {"lsn": 7}
    store.close()


def test_two_stores_share_one_file(store: FileOffsetStore, path: Path) -> None:
    other = FileOffsetStore(path)
    other.start()
    threads = [
        threading.Thread(target=lambda s=s, n=n: [s.commit(n, PARTITION, {"lsn": i}) for i in range(50)])
        for s, n in ((store, "one"), (other, "two"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.load("two", PARTITION) == other.load("one", PARTITION) == {"lsn": 49}
    other.close()


def test_every_commit_is_synced(store: FileOffsetStore) -> None:
    assert store._open.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._open.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\xac\xed\x00\x05sr\x00\x11java.util.HashMap", "Kafka Connect"), (b"name=x\n", "not an offset file")],
)
def test_a_foreign_file_is_refused_and_left_as_it_is(path: Path, content: bytes, words: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        FileOffsetStore(path).start()
    assert caught.value.option == "offset.storage.file.filename"
    assert path.read_bytes() == content


def test_an_emptied_file_is_an_error(store: FileOffsetStore, path: Path) -> None:
    store.commit("c", PARTITION, {"lsn": 1})
    store.close()
    path.write_bytes(b"")
    with pytest.raises(OffsetStoreError, match="empty") as caught:
        FileOffsetStore(path).start()
    assert "delete the file" in caught.value.hint
    assert path.read_bytes() == b""


def loaded(path: Path, connector: str = "c") -> object:
    """The offset, or OffsetStoreError."""
    store = FileOffsetStore(path)
    try:
        store.start()
        return store.load(connector, PARTITION)
    except (OffsetStoreError, ConfigError):
        return OffsetStoreError
    finally:
        store.close()


OFFSET = {"lsn": 7, "system_id": "7281", "lsn_commit": 18}


def test_no_flipped_bit_gives_another_offset_or_none(store: FileOffsetStore, path: Path, tmp_path: Path) -> None:
    store.commit("c", PARTITION, OFFSET)
    store.commit("other", PARTITION, {"lsn": 1})
    store.close()
    content = path.read_bytes()
    damaged = tmp_path / "damaged.db"
    pick = random.Random(1)
    errors = 0
    for place, byte in enumerate(content):
        if not byte and pick.random() < 0.98:
            continue
        for bit in (1, 1 << pick.randrange(1, 8)):
            damaged.unlink(missing_ok=True)
            damaged.write_bytes(content[:place] + bytes((byte ^ bit,)) + content[place + 1:])
            found = loaded(damaged)
            errors += found is OffsetStoreError
            assert found in (OFFSET, OffsetStoreError), f"byte {place}, bit {bit}"
    assert errors > 500


def test_a_file_cut_anywhere_is_an_error(store: FileOffsetStore, path: Path, tmp_path: Path) -> None:
    store.commit("c", PARTITION, OFFSET)
    store.close()
    content = path.read_bytes()
    cut = tmp_path / "cut.db"
    for size in range(0, len(content), 97):
        cut.unlink(missing_ok=True)
        cut.write_bytes(content[:size])
        assert loaded(cut) is OffsetStoreError


def test_a_copy_without_the_log_written_ahead_is_complete(store: FileOffsetStore, path: Path, tmp_path: Path) -> None:
    for lsn in range(5):
        store.commit("c", PARTITION, {"lsn": lsn})
        copy = tmp_path / f"copy{lsn}.db"
        copy.write_bytes(path.read_bytes())
        assert loaded(copy) == {"lsn": lsn}


def test_rows_of_another_time_are_an_error(store: FileOffsetStore, path: Path) -> None:
    """A row alone that is put back, or taken out, by whatever writes into the file."""
    store.commit("c", PARTITION, {"lsn": 1})
    old = store._open.execute("SELECT * FROM offsets").fetchone()
    store.commit("c", PARTITION, {"lsn": 2})
    store._open.execute("REPLACE INTO offsets VALUES (?, ?, ?, ?)", old)
    with pytest.raises(OffsetStoreError, match="another time"):
        FileOffsetStore(path).start()
    with pytest.raises(OffsetStoreError, match="another time"):
        store.load("c", PARTITION)
    with pytest.raises(OffsetStoreError, match="another time"):
        store.commit("c", PARTITION, {"lsn": 3})
    store._open.execute("DELETE FROM offsets")
    assert loaded(path) is OffsetStoreError


def old_file(path: Path) -> sqlite3.Connection:
    """As it was before there were checksums."""
    made = sqlite3.connect(path, isolation_level=None)
    made.execute("PRAGMA journal_mode=WAL")
    made.execute("CREATE TABLE offsets (connector TEXT NOT NULL, partition_json TEXT NOT NULL, offset_json TEXT NOT "
                 "NULL, PRIMARY KEY (connector, partition_json)) WITHOUT ROWID")
    made.execute("INSERT INTO offsets VALUES ('c', '{\"server\":\"shop\"}', '{\"lsn\":5}')")
    return made


def test_a_file_without_checksums_is_read_and_gets_them(path: Path) -> None:
    old_file(path).close()
    assert loaded(path) == {"lsn": 5}
    content = path.read_bytes()
    path.write_bytes(content.replace(b'{"lsn":5}', b'{"lsn":4}'))
    assert loaded(path) is OffsetStoreError


def test_an_old_file_without_its_log_written_ahead_is_an_error(path: Path, tmp_path: Path) -> None:
    old = old_file(path)
    copy = tmp_path / "copy.db"
    copy.write_bytes(path.read_bytes())
    old.close()
    with pytest.raises(OffsetStoreError, match="-wal"):
        FileOffsetStore(copy).start()


def test_another_programs_database_is_refused_and_left_as_it_is(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    assert loaded(path) is OffsetStoreError
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]
    other.close()


def test_a_new_file_is_its_owners_alone(store: FileOffsetStore, path: Path) -> None:
    store.commit("c", PARTITION, {"lsn": 1})
    assert [oct(each.stat().st_mode & 0o777) for each in path.parent.iterdir()] == ["0o600"] * len(
        list(path.parent.iterdir()))


@pytest.mark.parametrize("dangling", [True, False])
def test_a_symbolic_link_is_not_followed(path: Path, tmp_path: Path, dangling: bool) -> None:
    target = tmp_path / "target.db"
    if not dangling:
        store = FileOffsetStore(target)
        store.start()
        store.close()
    path.symlink_to(target)
    with pytest.raises(ConfigError, match="symbolic link"):
        FileOffsetStore(path).start()
    assert target.exists() != dangling


def test_processes_that_make_the_file_at_once_share_it(path: Path) -> None:
    stores = [FileOffsetStore(path) for _ in range(6)]
    threads = [threading.Thread(target=lambda s=s, n=n: (s.start(), s.commit(str(n), PARTITION, {"lsn": n})))
               for n, s in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [stores[0].load(str(n), PARTITION) for n in range(6)] == [{"lsn": n} for n in range(6)]
    for each in stores:
        each.close()
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_missing_folder_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder"):
        FileOffsetStore(tmp_path / "none" / "offsets.db").start()


def test_a_damaged_file_is_an_offset_store_error(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 4096)
    with pytest.raises(OffsetStoreError) as caught:
        FileOffsetStore(path).start()
    assert not caught.value.retriable


def test_a_locked_file_is_retriable(store: FileOffsetStore, path: Path) -> None:
    other = FileOffsetStore(path, timeout_s=0.05)
    other.start()
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(OffsetStoreError) as caught:
            other.commit("c", PARTITION, {"lsn": 1})
        assert caught.value.retriable
    finally:
        blocker.close()
        other.close()


@pytest.mark.parametrize("text", ["5", "{", "[" * 100_000])
def test_a_row_that_is_no_offset_is_an_error(path: Path, text: str) -> None:
    old = old_file(path)
    old.execute("UPDATE offsets SET offset_json = ?", (text,))
    old.close()
    store = FileOffsetStore(path)
    store.start()
    with pytest.raises(OffsetStoreError, match="not a JSON object"):
        store.load("c", PARTITION)
    store.close()
