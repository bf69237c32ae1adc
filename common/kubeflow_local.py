"""Runs one compiled pipeline with Kubeflow's own local runner, as a program: its noise goes to a log file.

    python -m common.kubeflow_local PACKAGE ARGUMENTS_JSON ROOT LOG

A process of its own, so that a deadline or a Ctrl-C ends the runner and its components as one group. kfp starts
components through a shell, which would outlive a killed runner: so components call `end_with_runner()` first.
Exit code 1 and the component's last error line on stderr when the pipeline failed.
"""

import json
import os
import re
import select
import sys
import threading
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from common.process import die_with_parent

RUNNER_PID = "MLOPS_PIPELINE_RUNNER_PID"
ERROR_LINE = re.compile(r"^(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Failed|Refused|Unavailable|Data|Exceeded|Full)\b.*")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def main(package: str, arguments: str, root: str, log: str) -> int:
    """Run the pipeline; return 0, or 1 after naming the error on stderr."""
    die_with_parent()
    os.environ[RUNNER_PID] = str(os.getpid())
    error = ""
    with Path(log).open("w", encoding="utf-8") as said, redirect_stdout(said), redirect_stderr(said):
        try:
            _run(package, json.loads(arguments), root)
        except Exception as failure:  # where a process ends: whatever kfp raised is told to the parent
            error = f"{type(failure).__name__}: {failure}"
    if error:
        sys.stderr.write(f"{last_error(Path(log)) or error}\n")
    return 1 if error else 0


def _run(package: str, arguments: dict[str, object], root: str) -> None:
    warnings.simplefilter("ignore")  # kfp warns that the image is not the one we run in
    from kfp import components, local

    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=root, raise_on_error=True)
    components.load_component_from_file(package)(**arguments)


def last_error(log: Path) -> str:
    """The last line of a log that looks like an error of Python's, without colours."""
    lines = [COLOURS.sub("", line).strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return next((line for line in reversed(lines) if ERROR_LINE.match(line)), "")


def end_with_runner() -> None:
    """End this process when the local runner ends, however it ends. Does nothing in a pod."""
    runner = os.environ.get(RUNNER_PID)
    if not runner or not hasattr(os, "pidfd_open"):
        return
    try:
        watched = os.pidfd_open(int(runner))
    except ProcessLookupError:
        os._exit(1)
    threading.Thread(target=_exit_after, args=(watched,), name="runner watch", daemon=True).start()


def _exit_after(watched: int) -> None:
    select.select([watched], [], [])
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
