"""Files that are whole or absent: a reader never sees half of one, whatever kills the writer."""

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

IN_USE = "in-use.lock"


@contextlib.contextmanager
def whole_file(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path`, durably, else it is removed.

    The user's umask takes rights from `mode`, as from that of any new file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{path.name}.{secrets.token_hex(4)}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    try:
        yield temporary
        settle(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace `path` by `data` in one step. Raises OSError (disk full, read-only) with `path` untouched."""
    with whole_file(path, mode) as temporary:
        temporary.write_bytes(data)


def settle(temporary: Path, path: Path) -> None:
    """Give a finished file, or a directory of them, its name.

    Order matters for durability: data to disk, then the name, then the directory that holds the name.
    """
    for written in (temporary, *temporary.rglob("*")):
        sync(written)
    temporary.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Flush a file, or the entries of a directory, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A directory for the length of a block, for commands that do not hold the run's lock, and may be many at once.

    Whoever works in one holds a lock in it, which the kernel frees however they die; what nobody holds goes first.
    """
    from filelock import FileLock

    parent.mkdir(parents=True, exist_ok=True)
    with FileLock(parent / "scratch.lock"):
        for left in parent.glob(".tmp-*"):
            if not _is_in_use(left):
                shutil.rmtree(left, ignore_errors=True)
        directory = Path(tempfile.mkdtemp(dir=parent, prefix=".tmp-"))
        held = FileLock(directory / IN_USE)
        held.acquire()
    try:
        yield directory
    finally:
        held.release()
        shutil.rmtree(directory, ignore_errors=True)


def _is_in_use(directory: Path) -> bool:
    from filelock import FileLock, Timeout

    try:
        with FileLock(directory / IN_USE, timeout=0):
            return False
    except Timeout:
        return True


def sweep_temporaries(directory: Path) -> int:
    """Remove what killed writers left in `directory`; call it only under the lock. Returns how many."""
    leftovers = [path for path in directory.glob(".tmp-*") if path.is_file()] if directory.is_dir() else []
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)
