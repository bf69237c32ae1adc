"""Runs a script many times without its seconds of imports: a warm process that forks a child for each run.

    python -m tests.faults.nursery

Reads a line of JSON for each run: the arguments, the environment, two files for what it prints, and how long it may
take. Answers by the exit code and the seconds. The child goes through the script's own entry to its own exit.
"""

import importlib
import json
import os
import runpy
import signal
import sys
import threading
import time
import traceback
import warnings
from typing import Any

WARM = (
    "prometheus_client",  # before Feast, whose import tells it that it serves several processes
    "pandas", "pyarrow.parquet", "pyarrow.fs", "pyarrow.compute", "sqlalchemy.dialects.postgresql.psycopg2", "boto3",
    "s3transfer.manager", "boto3.s3.transfer", "kubernetes.client", "kubernetes.config", "tenacity", "requests",
    "adbc_driver_postgresql.dbapi", "mlflow", "mlflow.tracking", "great_expectations", "kfp.compiler", "sklearn",
    "onnxruntime", "evidently", "jinja2", "common.session", "common.feast_postgres", "jsonschema", "fairlearn.metrics",
    "matplotlib.figure", "aiohttp", "openlineage.client", "psycopg", "common.registry", "pydantic_settings", "yaml",
    "feast.infra.online_stores.sqlite", "feast.infra.registry.sql", "feast.infra.offline_stores.dask", "dask.dataframe",
)  # fmt: skip


def main() -> None:
    """Warm up, then serve until the parent hangs up."""
    filters = warnings.filters[:]
    warnings.simplefilter("ignore")
    for name in WARM:
        try:
            importlib.import_module(name)
        except ImportError:  # a library was renamed: its first user pays
            continue
    warnings.filters[:] = filters
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            become(order)
        code = waited(pid, order["seconds"])
        print(json.dumps([code, round(time.monotonic() - started, 2)]), flush=True)


def waited(pid: int, seconds: float) -> int | None:
    """The exit code; None where it had to be killed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def become(order: dict[str, Any]) -> None:
    """Be the script, with nothing of ours left but what is imported, and end as it ends.

    Without the exit handlers of the libraries: they would wait for threads that a fork does not take along.
    """
    os.setpgid(0, 0)
    os.chdir("/")
    for descriptor, path in ((1, order["stdout"]), (2, order["stderr"])):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, descriptor)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv = order["argv"]
    code: Any = 1
    try:
        runpy.run_path(order["argv"][0], run_name="__main__")
    except SystemExit as end:
        code = end.code
    except BaseException:  # it would have ended the interpreter with a traceback
        traceback.print_exc()
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)


if __name__ == "__main__":
    main()
