"""Ends what killed shims left behind, and nothing else.

On Linux a service dies with its shim. Where that failed, it is recognised by a mark in its environment that carries
this state directory, or (where the kernel shows us no other user's environment) by pid and start time together.
"""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from embedded.layout import Layout

if TYPE_CHECKING:
    import psutil

MARK = "MLOPS_UNIT"
SHIM_MARK = "MLOPS_SHIM"


def mark(layout: Layout, name: str) -> str:
    """The value of both marks in the environment of a unit's processes."""
    return f"{layout.state}:{name}"


def end(layout: Layout, name: str, record: Path) -> bool:
    """End what is left of a unit whose lock is free: politely, then by force. True when there was anything."""
    wanted = mark(layout, name)
    marked = [(process, marks) for process, marks in _marked() if wanted in marks.values()]
    # A shim without its lock: the state directory was deleted under it. It stops its service in order.
    shims = [process for process, marks in marked if SHIM_MARK in marks]
    _end(shims, signal.SIGTERM, patience_seconds=12)
    left = [process for process, marks in marked if SHIM_MARK not in marks and process.is_running()]
    left += _recorded(record, {process.pid for process in left})
    _end(left, signal.SIGINT, patience_seconds=4)  # PostgreSQL takes SIGTERM as: when the last client has left
    return bool(shims or left)


def _end(processes: list[psutil.Process], number: int, patience_seconds: float) -> None:
    import psutil

    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
    _, alive = psutil.wait_procs(processes, timeout=patience_seconds)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=4)


def _marked() -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    """Living processes that carry one of our marks, whosever they are."""
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            marks = {name: value for name, value in process.environ().items() if name in (MARK, SHIM_MARK)}
            if marks and process.status() != psutil.STATUS_ZOMBIE:
                yield process, marks


def _recorded(record: Path, known: set[int]) -> list[psutil.Process]:
    """The service that a dead shim noted last, if that very process still runs."""
    import psutil

    with contextlib.suppress(OSError, ValueError, KeyError, psutil.Error):
        noted = json.loads(record.read_text())
        if noted["pid"] and noted["pid"] not in known:
            process = psutil.Process(noted["pid"])
            same = abs(process.create_time() - noted["since"]) < 2
            if same and process.status() != psutil.STATUS_ZOMBIE:
                return [process]
    return []
