"""A process that has imported what steps need, and forks a traced child for each point: a point costs no imports.

    with Zygote("pandas", "mlflow") as zygote:
        outcome = zygote.run(Job(script="uc1_churn_prediction/uc1_01_...py", argv=("--no-start",), env=env), harm)

The child goes through the real entry point with real arguments. A job with `fresh` replaces the child by a new
interpreter first, as a user's shell would start it. `python -m tests.kill.zygote MODULE...` is the process itself:
one JSON line in, one out.
"""

import atexit
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from common.paths import ROOT
from tests.kill.tracer import Harm, Made, Outcome, traced

KNOWS_FORKS = {"jemalloc_bg_thd"}  # Arrow's allocator stops and starts its thread around a fork


@dataclass(frozen=True)
class Job:
    """What the child does: run a script with arguments, or `call` a function "module:name" with `arguments`."""

    env: Mapping[str, str]
    output: str
    script: str = ""
    argv: Sequence[str] = ()
    fresh: bool = False
    call: str = ""
    arguments: Sequence[Any] = ()
    seconds: int = 240


@dataclass
class Zygote:
    """The process, from this side."""

    modules: tuple[str, ...] = ()
    _process: "subprocess.Popen[str]" = field(init=False)

    def __enter__(self) -> "Zygote":
        # One thread: a process with more of them cannot be forked safely.
        env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kill.zygote", *self.modules], cwd=ROOT, env=env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, job: Job, harm: Harm | None = None, record: bool = False) -> Outcome:
        """Run one job to its end, or to the harm. What it printed stands in the job's output file."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([asdict(job), harm or Harm(), record]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the tracer ended; the job was {job.script or job.call} {job.argv}, {harm}"
        count, status, harmed, calls = json.loads(answer)
        made = tuple(Made(task, name, tuple(paths), result) for task, name, paths, result in calls)
        return Outcome(count, status, harmed, made)


def serve(modules: Sequence[str]) -> None:
    """Import, then answer lines until there are none."""
    for module in modules:
        importlib.import_module(module)
    _, *others = sorted(Path("/proc/self/task").iterdir())
    names = {(task / "comm").read_text().strip() for task in others}
    assert names <= KNOWS_FORKS, f"an import started threads: {names}"
    for line in sys.stdin:
        tracer = os.fork()
        if not tracer:
            _trace(*json.loads(line))
        _, status = os.waitpid(tracer, 0)
        if status:
            raise SystemExit(f"the tracer ended with {status}")


def _trace(job: dict[str, Any], harm: list[Any], record: bool) -> None:
    """The tracer of one job. Its own death takes the tree along, also the one after the time limit."""
    signal.alarm(job["seconds"])
    outcome = traced(lambda: _work(Job(**job)), Harm(*harm), record, job["output"])
    print(json.dumps(outcome), flush=True)
    os._exit(0)


def _work(job: Job) -> int:
    signal.alarm(0)
    os.environ.clear()
    os.environ.update(job.env)
    if job.fresh:
        os.chdir("/")
        os.execve(sys.executable, [sys.executable, job.script, *job.argv], dict(job.env))
    return _ended(job)


def _ended(job: Job) -> int:
    """The job's exit code, after all that an interpreter does at its end."""
    sys.stdin, code = open(0), 1  # noqa: SIM115
    try:
        code = _called(job) if job.call else _scripted(job)
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _called(job: Job) -> int:
    module, _, name = job.call.partition(":")
    getattr(importlib.import_module(module), name)(*job.arguments)
    return 0


def _scripted(job: Job) -> int:
    os.chdir("/")
    sys.argv = [job.script, *job.argv]
    sys.path.insert(0, str(Path(job.script).parent))
    del sys.modules["__main__"]
    runpy.run_path(job.script, run_name="__main__")
    return 0


if __name__ == "__main__":
    serve(sys.argv[1:])
