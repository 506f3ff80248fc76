"""Locks of the operating system beside an offset file: one file for each connector, which says who has the lock.

The kernel releases such a lock when its process ends, in whatever way, and only then. A process that is paused keeps
it. The lock's file is removed with an orderly release; after a crash it stays, which does no harm.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from pathlib import Path
from typing import Final

from cdc.core.errors import OffsetStoreError
from cdc.core.owner import Owner
from cdc.log import get_logger

from .claims import held_by

log = get_logger(__name__)

_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


class FileLocks:
    """The locks that this process has, by a name for each. Not thread-safe. `flock` belongs to an open file, so that
    two objects of this class in one process exclude each other too."""

    def __init__(self, path: Path, owner: Owner) -> None:
        """*path* is the offset file's."""
        self._path = path
        self._owner = owner
        self._held: dict[str, tuple[int, Path]] = {}

    def take(self, name: str, connector: str) -> bool:
        """Get the lock *name* for *connector*, or keep it; returns whether it is new. Raises OffsetsHeldError,
        OffsetStoreError.

        A file system without locks gives a warning. The generations in the file are all that protects it then.
        """
        if name in self._held:
            return False
        path = self._place(name)
        try:
            self._held[name] = self._locked(path, connector), path
        except OSError as exc:
            raise OffsetStoreError(f"The lock beside the offset file cannot be made: {exc.strerror}.", path=str(path),
                                   hint="Check the folder's permissions.", connector=connector) from exc
        return True

    def holder(self, name: str) -> tuple[Owner | None, bool]:
        """Who has the lock *name*, if the holder said so, and whether somebody has it, if we may see that. Nothing is
        created or kept."""
        try:
            descriptor = os.open(self._place(name), os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return None, False
        try:
            owner = Owner.of(os.pread(descriptor, 4096, 0))
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # as in `_lock`
            return owner, True
        except OSError:  # it cannot be read, or the file system has no locks
            return None, False
        finally:
            os.close(descriptor)
        return None, False

    def _place(self, name: str) -> Path:
        digest = hashlib.blake2b(name.encode(), digest_size=6).hexdigest()
        return self._path.with_name(f"{self._path.name}.{digest}.lock")

    def drop(self, name: str) -> None:
        """Release the lock *name*, if we have it."""
        held = self._held.pop(name, None)
        if held is None:
            return
        descriptor, path = held
        try:
            path.unlink(missing_ok=True)  # first, while nobody else can have it
        except OSError:
            pass
        os.close(descriptor)

    def close(self) -> None:
        """Release all."""
        for name in list(self._held):
            self.drop(name)

    def _locked(self, path: Path, connector: str) -> int:
        """A descriptor of the file at *path*, locked. Raises OffsetsHeldError, OSError."""
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                self._lock(descriptor, path, connector)
                if _is_at(descriptor, path):
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, self._owner.json().encode(), 0)
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # its last holder has removed it meanwhile

    def _lock(self, descriptor: int, path: Path, connector: str) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # EACCES: so some network file systems say that it is taken
            raise held_by(Owner.of(os.pread(descriptor, 4096, 0)), connector, path=str(self._path)) from None
        except OSError as exc:
            if exc.errno not in _NO_LOCKS:
                raise
            log.warning("offset_file_not_locked", path=str(path), reason=exc.strerror,
                        hint="The file system has no locks. Be sure that only one process runs this connector.")


def _is_at(descriptor: int, path: Path) -> bool:
    ours = os.fstat(descriptor)
    try:
        now = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (ours.st_dev, ours.st_ino) == (now.st_dev, now.st_ino)
