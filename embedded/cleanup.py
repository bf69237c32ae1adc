"""Gives disk space back: `prune` what is old, `reset` everything.

Both touch only names that this project makes; a state directory that somebody shares with other files keeps those.
Snapshots and models in S3 are not pruned: only their owner knows which are still wanted.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from common.errors import Locked, UsageError
from embedded import locks
from embedded.layout import Layout

KEPT_RUNS = 50
KEPT_CACHE_BYTES = 2 * 1024**3
KEPT_LOG_BYTES = 1024**2
MADE_BY_US = (
    "addresses.yaml", "seeded.yaml", "kubeconfig", "embedded", "logs", "alerts.jsonl", "run.json", "runs", "cache",
    "dvc", "git", "feast", "pipelines", "metrics", "secrets", "run.lock",
    # Of every environment. Anchors too: without their ledger they would call the next one tampered with.
    "ledger*.db", "ledger*.db-wal", "ledger*.db-shm", "ledger*.db.anchors",
)  # fmt: skip


def prune(layout: Layout) -> list[str]:
    """Bound logs, cache and run reports. One line for each kind that gave something back."""
    freed = {
        "logs": _sum(_prune_logs(layout.logs)),
        "cache": _sum(_prune_oldest(layout.state / "cache", KEPT_CACHE_BYTES)),
        f"runs beyond the newest {KEPT_RUNS}": _sum(_prune_runs(layout.state / "runs")),
    }
    return [f"{kind}: {count} removed, {size / 1e6:.1f} MB freed" for kind, (count, size) in freed.items() if count]


def confirm(layout: Layout, yes: bool) -> None:
    """Ask a person. Raises UsageError where there is nobody to ask, Locked (exit 75) while a run is going on."""
    if locks.taken(layout.state / "run.lock"):
        raise Locked(f"A run is using {layout.state}.", "Wait for it to end, or stop it, then reset.")
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"reset deletes all data in {layout.state}.", "Confirm it: python -m embedded reset --yes")
    sys.stderr.write(f"Delete all data in {layout.state} (databases, objects, models, runs)? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("Nothing was deleted.")


def reset(layout: Layout) -> list[str]:
    """Delete what this project made. One line a thing; the outside directory goes first, while its id is known."""
    removed = []
    places = [layout.outside] if layout.has_clone_id else []
    for path in [*places, *(path for name in MADE_BY_US for path in sorted(layout.state.glob(name)))]:
        if path.exists():
            _remove(path)
            removed.append(f"deleted {path}")
    others = sorted(path.name for path in layout.state.glob("*"))
    if others:
        removed.append(f"kept what is not ours in {layout.state}: {', '.join(others)}")
    return removed or ["there was nothing to delete"]


def _prune_logs(directory: Path) -> Iterator[int]:
    """Rotated logs go; a live one is cut to its last megabyte (its writer appends, so it simply goes on)."""
    for path in directory.glob("*.log.1"):
        yield _remove(path)
    for path in directory.glob("*.log"):
        size = path.stat().st_size
        if size > KEPT_LOG_BYTES:
            with path.open("rb+") as file:
                file.seek(-KEPT_LOG_BYTES, os.SEEK_END)
                end = file.read()
                file.seek(0)
                file.write(end)
                file.truncate()
            yield size - len(end)


def _prune_oldest(directory: Path, kept_bytes: int) -> Iterator[int]:
    """Newest first, until the rest is too much; whoever misses a cached file makes it again."""
    files = [(path.stat(), path) for path in directory.rglob("*") if path.is_file()]
    total = 0
    for status, path in sorted(files, key=lambda item: item[0].st_mtime, reverse=True):
        total += status.st_size
        if total > kept_bytes:
            yield _remove(path)


def _prune_runs(directory: Path) -> Iterator[int]:
    runs = sorted((path for path in directory.glob("*") if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for path in runs[:-KEPT_RUNS]:
        yield _remove(path)


def _remove(path: Path) -> int:
    """Remove a file or a tree; the bytes that were in it."""
    if path.is_dir() and not path.is_symlink():
        size = sum(file.lstat().st_size for file in path.rglob("*") if file.is_file())
        shutil.rmtree(path)
        return size
    size = path.lstat().st_size
    path.unlink()
    return size


def _sum(sizes: Iterator[int]) -> tuple[int, int]:
    found = list(sizes)
    return len(found), sum(found)
