"""One run at a time: a lock that the kernel frees however its holder dies.

Whoever gets it first ends what unfinished runs left behind: their child processes, found by the mark in their
environment, and their half-written temporary files.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from common.errors import Locked
from common.logger import get_logger
from common.paths import state_dir
from common.publish import sweep_temporaries, write_atomically

log = get_logger(__name__)
RUN_MARK = "MLOPS_RUN_MARK"


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
        _end_leftovers(directory)
        _sign(directory, run_id, command)
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def shared_lock(url: str) -> Iterator[None]:
    """The same across machines, where they share a ledger: a PostgreSQL advisory lock, held by its session."""
    import sqlalchemy as sa

    engine = sa.create_engine(url, connect_args={"connect_timeout": 5, "application_name": "mlops run"})
    try:
        with engine.connect() as connection:
            if not connection.scalar(sa.text("SELECT pg_try_advisory_lock(hashtext('mlops run'))")):
                raise Locked("A run on another machine holds the shared ledger's lock.", "Wait for it to end.")
            yield
    finally:
        engine.dispose()


def mark_children(run_id: str) -> None:
    """From now on our child processes carry the run's id in their environment."""
    os.environ[RUN_MARK] = f"{state_dir()}:{run_id}"


def _sign(directory: Path, run_id: str, command: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    said = {"pid": os.getpid(), "run": run_id, "command": command, "since": now}
    write_atomically(directory / "run.json", json.dumps(said).encode(), 0o600)


def _holder(directory: Path) -> str:
    try:
        said = json.loads((directory / "run.json").read_text())
        return f"Run {said['run']} (pid {said['pid']}, `{said['command']}`) has been running since {said['since']}."
    except (OSError, ValueError, KeyError):
        return "Another run of this clone is just starting."


def _end_leftovers(directory: Path) -> None:
    """End the children of runs that died: the lock is ours, so no such run is alive."""
    import psutil

    left = [process for process in psutil.process_iter() if _is_leftover(process, f"{directory}:")]
    for process in left:
        with contextlib.suppress(psutil.Error):
            log.warning("ending a process that a dead run left behind", pid=process.pid)
            process.kill()
    _wait_gone(left)
    for place in (directory, directory / "cache", directory / "runs"):
        sweep_temporaries(place)


def _is_leftover(process: object, mark: str) -> bool:
    import psutil

    assert isinstance(process, psutil.Process)
    with contextlib.suppress(psutil.Error):
        own = process.pid == os.getpid()
        return not own and process.environ().get(RUN_MARK, "").startswith(mark)
    return False


def _wait_gone(processes: Sequence[object]) -> None:
    import psutil

    deadline = time.monotonic() + 5
    alive = [p for p in processes if isinstance(p, psutil.Process)]
    while alive and time.monotonic() < deadline:
        alive = [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        time.sleep(0.02)
