"""Locks that a killed git left behind in a repository on this machine.

A push to a path runs git's receiving side as a child of ours: killed together, they leave `refs/heads/main.lock`, and
every later push is refused, for ever. Git itself never removes such a file. We do where nobody can be at work any more.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from common.logger import get_logger

log = get_logger(__name__)
# Git holds these locks for milliseconds; one this old, in a repository where no git runs, has lost its holder.
STALE_SECONDS = 2.0


def remove_stale(url: str) -> None:
    """Remove what killed pushes left in the repository at `url`, where that is a path and the files are this user's."""
    for lock in list(_locks(_local(url))):
        if _is_abandoned(lock, _local(url)):
            log.warning("removing a lock that a killed git left in the repository", file=lock.name, repository=url)
            lock.unlink(missing_ok=True)


def _local(url: str) -> Path:
    parts = urlsplit(url)
    return Path(unquote(parts.path) if parts.scheme == "file" else url)


def _is_repository(place: Path) -> bool:
    try:
        return (place / "HEAD").is_file()
    except OSError:  # a name that is too long for this file system
        return False


def _locks(repository: Path) -> Iterator[Path]:
    """Of references and settings; objects are written without locks."""
    if _is_repository(repository):
        yield from repository.glob("*.lock")
        yield from (repository / "refs").rglob("*.lock")


def _is_abandoned(lock: Path, repository: Path) -> bool:
    """Has it stayed the same file for STALE_SECONDS, with no git at work in the repository?"""
    with contextlib.suppress(FileNotFoundError):
        seen = lock.stat()
        age = time.time() - seen.st_mtime
        time.sleep(min(max(STALE_SECONDS - age, 0), STALE_SECONDS))
        now = lock.stat()
        mine = now.st_uid == os.geteuid()
        return mine and (now.st_ino, now.st_mtime) == (seen.st_ino, seen.st_mtime) and not _git_is_at(repository)
    return False


def _git_is_at(repository: Path) -> bool:
    """Does a git work there? Its receiving side always changes into the repository; one that hides may be there."""
    import psutil

    place = repository.resolve()
    for process in psutil.process_iter(["name", "cwd", "status"]):
        if (process.info["name"] or "").startswith("git") and process.info["status"] != psutil.STATUS_ZOMBIE:
            cwd = process.info["cwd"]
            if cwd is None or Path(cwd) == place:
                return True
    return False
