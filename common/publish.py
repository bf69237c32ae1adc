"""Files that are whole or absent: a reader never sees half of one, whatever kills the writer."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole_file(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path`, durably, else it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".tmp-{path.name}.")
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(mode)
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


def sweep_temporaries(directory: Path) -> int:
    """Remove what killed writers left in `directory`; call it only under the lock. Returns how many."""
    leftovers = [path for path in directory.glob(".tmp-*") if path.is_file()] if directory.is_dir() else []
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)
