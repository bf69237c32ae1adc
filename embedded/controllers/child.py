"""A child process of the controllers: its environment, its log, its orderly end. It dies when we die."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_SECONDS = 6.0  # the platform kills us and what we left after eight
LOG_BYTES = 10 << 20
STEADY_SECONDS, LONGEST_PAUSE_SECONDS = 30.0, 60.0
PR_SET_PDEATHSIG = 1


class Child:
    """One process, whose output is appended to a log."""

    def __init__(self, log: Path) -> None:
        self._log, self._log_start = log, 0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def is_running(self) -> bool:
        """True until the process has ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def exit_code(self) -> int:
        """How it ended; 0 while it runs."""
        return (self._process.returncode or 0) if self._process else 0

    async def start(
        self, command: Sequence[str], environment: Mapping[str, str], descriptors: Sequence[int] = (),
        directory: Path | None = None,
    ) -> None:  # fmt: skip
        """Start the process, with these open files besides. Raises OSError where the program is not there."""
        self._log_start = _rotated(self._log)
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=tuple(descriptors), cwd=directory, preexec_fn=_end_with_parent,
            )  # fmt: skip

    def last_words(self) -> str:
        """The last line that it wrote."""
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    async def ended(self) -> int:
        """Wait for the process to end; returns its code."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        """End the process; it finishes what it is doing first."""
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


class BackOff:
    """How long to wait before a process is started again: not at all for one that ran, then 1, 2, 4 ... 60 s."""

    def __init__(self) -> None:
        self._failures = 0

    def pause(self, lived_seconds: float) -> float:
        """Seconds to wait after a life of so many seconds; 0 for one that never worked."""
        if lived_seconds >= STEADY_SECONDS:
            self._failures = 0
        elif not lived_seconds:
            self._failures = max(self._failures, 1)
        pause = min(2.0 ** (self._failures - 1), LONGEST_PAUSE_SECONDS) if self._failures else 0.0
        self._failures += 1
        return pause


def inherited(*names: str) -> dict[str, str]:
    """These variables of ours, and the mark by which the platform finds what it left behind."""
    return {name: os.environ[name] for name in (*names, "MLOPS_UNIT") if name in os.environ}


def _rotated(log: Path) -> int:
    """Move a log that grew too large aside; returns where the next start's lines begin."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    return log.stat().st_size if log.exists() else 0


def _end_with_parent() -> None:
    """In the child, before it becomes its program: SIGTERM when we die, so that it still ends in order."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
