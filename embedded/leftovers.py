"""Ends what killed shims left behind, and nothing else.

On Linux a service dies with its shim. Where that failed, it is recognised by a mark in its environment that carries
this state directory, or (where the kernel shows us no other user's environment) by pid and start time together.
"""

from __future__ import annotations

import contextlib
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from embedded.layout import Layout

if TYPE_CHECKING:
    import psutil

MARK = "MLOPS_UNIT"


def mark(layout: Layout, name: str) -> str:
    """The value of MARK in the environment of a unit's processes."""
    return f"{layout.state}:{name}"


def end(layout: Layout, name: str, record: Path) -> bool:
    """End the unit's remaining processes: politely, then by force. True when there were any."""
    import psutil

    left = [process for process in psutil.process_iter() if _carries(process, mark(layout, name))]
    left += _recorded(record, {process.pid for process in left})
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGINT)  # PostgreSQL takes SIGTERM as: when the last client has left
    _, alive = psutil.wait_procs(left, timeout=4)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=4)
    return bool(left)


def _carries(process: psutil.Process, wanted: str) -> bool:
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        return process.environ().get(MARK) == wanted and process.status() != psutil.STATUS_ZOMBIE
    return False


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
