"""One run at a time: a lock that the kernel frees however its holder dies.

Whoever gets it first ends what unfinished runs left behind: their child processes, found by the mark in their
environment, and their half-written temporary files.
"""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import Locked, Unavailable
from common.logger import get_logger
from common.paths import state_dir
from common.publish import sweep_temporaries, write_atomically

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = get_logger(__name__)
RUN_MARK = "MLOPS_RUN_MARK"
CACHES = ("data_docs", "features", "snapshots")  # where only the lock's holder makes temporary directories
SIGNED_WITHIN_SECONDS = 2.0


@contextlib.contextmanager
def run_lock(run_id: str, command: str, wait_seconds: float = 0) -> Iterator[None]:
    """Hold the clone's lock. Raises Locked (exit 75) naming the holder, after waiting `wait_seconds`."""
    from filelock import FileLock, Timeout

    directory = state_dir()
    directory.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory / "run.lock", mode=0o600)
    try:
        lock.acquire(timeout=wait_seconds, poll_interval=0.1)
    except Timeout:
        raise Locked(_holder(directory), "Wait for it, or give --wait-lock SECONDS.") from None
    try:
        _sign(directory, run_id, command)
        _end_leftovers(directory)
        yield
    finally:
        _sweep_caches(directory)  # a step that was stopped in the middle of a library may have left some
        (directory / "run.json").unlink(missing_ok=True)
        lock.release()


@contextlib.contextmanager
def shared_lock(url: str, wait_seconds: float = 0) -> Iterator[None]:
    """The same across machines, where they share a ledger: a PostgreSQL advisory lock, held by its session.

    No transaction is left open meanwhile: a server that ends idle transactions would take the lock away.
    Raises Locked, and Unavailable where the server does not answer.
    """
    import sqlalchemy as sa

    options = {"connect_timeout": 5, "application_name": "mlops run"}
    engine = sa.create_engine(url, connect_args=options, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            _wait_for_advisory_lock(connection, wait_seconds)
            yield
    except sa.exc.OperationalError as error:
        said = str(error.orig).strip().splitlines()[0]
        raise Unavailable(f"The shared ledger does not answer: {said}.", "Check ledger.url.") from error
    finally:
        engine.dispose()


def _wait_for_advisory_lock(connection: "Connection", wait_seconds: float) -> None:
    import sqlalchemy as sa

    end = time.monotonic() + wait_seconds
    while not connection.scalar(sa.text("SELECT pg_try_advisory_lock(hashtext('mlops run'))")):
        if time.monotonic() >= end:
            raise Locked("A run on another machine holds the shared ledger's lock.", "Wait for it to end.")
        time.sleep(0.5)


def mark_children(run_id: str) -> None:
    """From now on our child processes carry the run's id in their environment."""
    os.environ[RUN_MARK] = f"{state_dir()}:{run_id}"


def _sign(directory: Path, run_id: str, command: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    said = {"pid": os.getpid(), "run": run_id, "command": command, "since": now}
    write_atomically(directory / "run.json", json.dumps(said).encode(), 0o600)


def _holder(directory: Path) -> str:
    """Who holds the lock. Its holder signs at once: what is there before that, a killed run has left."""
    import psutil

    end = time.monotonic() + SIGNED_WITHIN_SECONDS
    said = _signature(directory)
    while not (said and psutil.pid_exists(said["pid"])) and time.monotonic() < end:
        time.sleep(0.05)
        said = _signature(directory)
    if not said:
        return "Another run of this clone is just starting."
    return f"Run {said['run']} (pid {said['pid']}, `{said['command']}`) has been running since {said['since']}."


def _signature(directory: Path) -> dict[str, Any]:
    """What the holder has said of itself; empty where nobody has, or nothing that can be understood."""
    try:
        said = json.loads((directory / "run.json").read_text(encoding="utf-8"))
        return {"run": said["run"], "pid": int(said["pid"]), "command": said["command"], "since": said["since"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _end_leftovers(directory: Path) -> None:
    """End the children of runs that died: the lock is ours, so no such run is alive."""
    import psutil

    left = [process for process in psutil.process_iter() if _is_leftover(process, f"{directory}:")]
    for process in left:
        with contextlib.suppress(psutil.Error):
            log.warning("ending a process that a dead run left behind", pid=process.pid)
            process.kill()
    psutil.wait_procs(left, timeout=5)
    for place in (directory, directory / "cache", directory / "runs", *(directory / "runs").glob("*")):
        sweep_temporaries(place)
    _sweep_caches(directory)


def _sweep_caches(directory: Path) -> None:
    for cache in (directory / "cache" / name for name in CACHES):
        sweep_temporaries(cache)
        for left in cache.glob(".tmp-*"):
            shutil.rmtree(left, ignore_errors=True)


def _is_leftover(process: object, mark: str) -> bool:
    import psutil

    assert isinstance(process, psutil.Process)
    with contextlib.suppress(psutil.Error):
        own = process.pid == os.getpid()
        return not own and process.environ().get(RUN_MARK, "").startswith(mark)
    return False
