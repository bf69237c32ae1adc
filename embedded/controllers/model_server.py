"""One model-server process: started, watched until it is ready, stopped. It dies when we die."""

import asyncio
import contextlib
import ctypes
import http.client
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from embedded.controllers.revisions import Revision

HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 6.0  # the platform kills us and what we left after eight
LOG_BYTES = 10 << 20
PR_SET_PDEATHSIG = 1
PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "MLOPS_UNIT",
)


class StartFailed(Exception):
    """The process did not become ready; the message is its own last line where it has one."""

    def __init__(self, message: str, exit_code: int = 0) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ModelServer:
    """`port` is the process's own; `front` is the listening socket of the stable URL that it serves too."""

    def __init__(self, revision: Revision, directory: Path, front: socket.socket, log: Path) -> None:
        self.revision, self._directory, self._front, self._log = revision, directory, front, log
        self.port = 0
        self._process: asyncio.subprocess.Process | None = None
        self._log_start = 0

    @property
    def is_running(self) -> bool:
        """True until the process has ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self, environment: Mapping[str, str]) -> None:
        """Start the process and return when its model is ready. Raises StartFailed, with nothing left running."""
        self.port = _free_port()
        self._log_start = _rotated(self._log)
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(), env=self._environment(environment), stdin=asyncio.subprocess.DEVNULL,
                stdout=log, stderr=log, pass_fds=(self._front.fileno(),), preexec_fn=_end_with_parent,
            )  # fmt: skip
        try:
            await asyncio.wait_for(self._until_ready(), START_SECONDS)
        except TimeoutError:
            await self.stop()
            raise StartFailed(f"The model server was not ready within {START_SECONDS:g} s.") from None
        except BaseException:
            await self.stop()
            raise

    def _command(self) -> list[str]:
        ours = ["--model_dir", str(self._directory), "--http_port", str(self.port), "--host", HOST]
        front = ["--front_fd", str(self._front.fileno())]
        return [sys.executable, "-m", "serving", *self.revision.arguments, *ours, *front]

    def _environment(self, credentials: Mapping[str, str]) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        forced = {"OMP_NUM_THREADS": "1", "REVISION": self.revision.name}
        # A manifest may name an object store's address of yesterday; the platform knows today's.
        return {**inherited, **dict(self.revision.environment), **credentials, **forced}

    async def _until_ready(self) -> None:
        assert self._process is not None
        path = f"/v2/models/{self.revision.service}/ready"
        while True:
            if self._process.returncode is not None:
                code = self._process.returncode
                raise StartFailed(self._last_words() or f"The model server ended with code {code}.", code)
            if await asyncio.to_thread(_status_of, self.port, path) == 200:
                return
            await asyncio.sleep(0.05)

    def _last_words(self) -> str:
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    async def ended(self) -> int:
        """Wait for the process to end; returns its code."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        """End the process; it finishes what it is answering and writes its log first."""
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def open_front(port: int) -> socket.socket:
    """The listening socket of a stable URL: on `port`, or on a free one when that is 0 or taken.

    We hold it for as long as we live and every model server accepts from it. So a change of revision refuses no
    connection, and one that arrives while a killed server is being restarted waits instead of failing.
    """
    front = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    front.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    front.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited by connections, as in serving/server.py
    try:
        front.bind((HOST, port))
    except OSError:
        front.bind((HOST, 0))
    front.listen(1024)
    return front


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _status_of(port: int, path: str) -> int:
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _rotated(log: Path) -> int:
    """Move a log that grew too large aside; returns where the next start's lines begin."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    return log.stat().st_size if log.exists() else 0


def _end_with_parent() -> None:
    """In the child, before it becomes the server: SIGTERM when we die, so that it still writes its log."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
