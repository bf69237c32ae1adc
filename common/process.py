"""Child processes: always a deadline, always list form, never outliving us."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.errors import DeadlineExceeded, StepFailed

PR_SET_PDEATHSIG = 1


class CommandFailed(StepFailed):
    """A command ended with a non-zero code. Carries `returncode` and `stderr`."""

    def __init__(self, command: str, returncode: int, stderr: str) -> None:
        last_line = next((line for line in reversed(stderr.splitlines()) if line.strip()), "it printed nothing")
        super().__init__(f"`{command}` ended with code {returncode}: {last_line.strip()}")
        self.returncode = returncode
        self.stderr = stderr


def run_command(
    args: Sequence[str],
    *,
    deadline_seconds: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: bytes | None = None,
) -> str:
    """Run a command in a process group of its own and return its standard output.

    Raises CommandFailed on a non-zero code and DeadlineExceeded after `deadline_seconds`; either way, and
    when we are interrupted, nothing of the group is left. Secrets belong in `env`, never in `args`.
    """
    with subprocess.Popen(
        list(args), cwd=cwd, env=env, stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0,
    ) as child:  # fmt: skip
        try:
            stdout, stderr = child.communicate(input, timeout=deadline_seconds)
        except subprocess.TimeoutExpired:
            raise DeadlineExceeded(f"`{_shown(args)}` did not end within {deadline_seconds:g} s.") from None
        finally:
            _end_group(child)
    if child.returncode:
        raise CommandFailed(_shown(args), child.returncode, stderr.decode(errors="replace"))
    return stdout.decode(errors="replace")


def _shown(args: Sequence[str]) -> str:
    return " ".join([Path(args[0]).name, *args[1:4]]) + (" ..." if len(args) > 4 else "")


def _end_group(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent dies. Linux only; elsewhere the run's sweep does it."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
