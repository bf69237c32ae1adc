"""Units: supervised programs. A unit is alive exactly while its lock is taken; its record says the rest.

No pid is ever trusted by itself: pids are reused, and a dead process looks alive while it is a zombie.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from embedded import leftovers, locks
from embedded.layout import Layout
from embedded.ports import Reservation

if TYPE_CHECKING:
    import psutil

SHIM = Path(__file__).with_name("shim.py")
LOG_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True)
class Program:
    """What a shim runs, on top of a clean environment. Secrets belong in `environment`: command lines are public.

    `passed_on` are the user's own variables; unlike everything else a change of them is no reason for a restart.
    """

    name: str
    command: tuple[str, ...]
    directory: str
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    passed_on: dict[str, str] = field(default_factory=dict, repr=False)
    stop_signal: int = int(signal.SIGTERM)
    stop_seconds: float = 6
    uid: int | None = None
    gid: int | None = None

    def digest(self) -> str:
        """Changes whenever the running service would have to be another one."""
        identity = {name: value for name, value in asdict(self).items() if name != "passed_on"}
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Record:
    """What the shim notes about its service. `pid` is None between a crash and the next start."""

    shim: int
    pid: int | None
    since: float
    restarts: int
    failures: int
    digest: str
    port: int


def python() -> str:
    """This interpreter, by the same name however it was called: another name would look like another program."""
    usual = Path(sys.prefix, "bin", "python")
    return str(usual) if usual.exists() else sys.executable


def running(layout: Layout, name: str) -> Record | None:
    """The unit's record while it is supervised, else None."""
    if not locks.taken(layout.unit(name, "lock")):
        return None
    return _read_record(layout.unit(name, "json"), patience_seconds=5)


def launch(layout: Layout, program: Program, reservation: Reservation) -> None:
    """Start a shim for the program. The caller holds the unit's mutex and has stopped what was there."""
    record = layout.unit(program.name, "json")
    lock = locks.take(layout.unit(program.name, "lock"), 5)
    try:
        record.unlink(missing_ok=True)  # under the lock: from now on a record is this shim's
        _spawn(layout, program, reservation.port, record, (lock, *reservation.descriptors()))
    finally:
        os.close(lock)


def stop(layout: Layout, name: str) -> bool:
    """End the unit and whatever it left. The caller holds the mutex. True when there was something to stop."""
    record = running(layout, name)
    if record:
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.shim, signal.SIGTERM)
        _wait_released(layout, name, 15)
        if locks.taken(layout.unit(name, "lock")):
            os.kill(record.shim, signal.SIGKILL)
            _wait_released(layout, name, 2)
    left = leftovers.end(layout, name, layout.unit(name, "json"))
    return record is not None or left


def last_lines(layout: Layout, name: str, count: int = 12) -> str:
    """The end of the service's log."""
    try:
        with layout.log(name).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 16_384))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])
    except FileNotFoundError:
        return "(nothing was logged)"


def _spawn(layout: Layout, program: Program, port: int, record: Path, inherited: tuple[int, ...]) -> None:
    mark = leftovers.mark(layout, program.name)
    clean = layout.clean_environment()
    environment = {**program.passed_on, **clean, **program.environment, leftovers.MARK: mark}
    specification = {
        **asdict(program), "environment": environment, "digest": program.digest(), "port": port,
        "record": str(record), "lock": inherited[0], "lock_path": str(record.with_suffix(".lock")),
        "log": str(layout.log(program.name)), "log_bytes": LOG_BYTES,
    }  # fmt: skip
    with layout.log(program.name).open("ab") as log:
        shim = subprocess.Popen(
            [python(), "-I", "-S", str(SHIM), program.name], stdin=subprocess.PIPE, stdout=log, stderr=log,
            cwd="/", env={**clean, leftovers.SHIM_MARK: mark}, start_new_session=True, pass_fds=inherited,
        )  # fmt: skip
    assert shim.stdin
    with shim.stdin as pipe:
        pipe.write(json.dumps(specification).encode())
    shim.returncode = 0  # it outlives us on purpose; subprocess would warn about a child nobody waited for


def _read_record(path: Path, patience_seconds: float) -> Record | None:
    """A shim that has just been started needs a moment to write its record."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError, ValueError, TypeError):
            return Record(**json.loads(path.read_text()))
        if not locks.taken(path.with_suffix(".lock")):
            return None
        time.sleep(0.02)
    return None


def _wait_released(layout: Layout, name: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while locks.taken(layout.unit(name, "lock")) and time.monotonic() < deadline:
        time.sleep(0.02)


def listens(pid: int, port: int) -> bool:
    """Is it really this process that listens there, or one of its children? True too where we may not look."""
    import psutil

    try:
        process = psutil.Process(pid)
        return _listens(process, port) or any(_listens(child, port) for child in process.children(recursive=True))
    except psutil.AccessDenied:
        return True
    except psutil.Error:
        return False


def _listens(process: psutil.Process, port: int) -> bool:
    import psutil

    return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in process.connections("tcp"))
