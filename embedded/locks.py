"""Locks that the kernel frees when their holder dies, so that "is it alive" is "is the lock taken"."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from common.errors import Locked


def taken(path: Path) -> bool:
    """Does somebody hold the lock exclusively? Looking never disturbs the holder."""
    with contextlib.suppress(FileNotFoundError), path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def take(path: Path, patience_seconds: float, shared: bool = False) -> int:
    """The descriptor that now holds the lock; whoever inherits it holds the lock too. Raises Locked."""
    deadline = time.monotonic() + patience_seconds
    while (descriptor := _try(path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)) is None:
        if time.monotonic() > deadline:
            raise Locked(f"Another `python -m embedded` has held {path} for {patience_seconds:.0f} s.")
        time.sleep(0.02)
    return descriptor


def _try(path: Path, kind: int) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass  # held by another, or deleted while we waited: then it locks nothing
    os.close(descriptor)
    return None


@contextlib.contextmanager
def held(path: Path, patience_seconds: float, shared: bool = False) -> Iterator[None]:
    """Hold the lock for the length of the block."""
    descriptor = take(path, patience_seconds, shared)
    try:
        yield
    finally:
        os.close(descriptor)
