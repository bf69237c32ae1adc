"""One model-server process: started, watched until it is ready, stopped."""

import asyncio
import http.client
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from embedded.controllers.child import Child, inherited
from embedded.controllers.revisions import Revision

HOST = "127.0.0.1"
START_SECONDS = 60.0
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH")


class StartFailed(Exception):
    """The process did not become ready; the message is its own last line where it has one."""

    def __init__(self, message: str, exit_code: int = 0) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ModelServer:
    """A model server on a port of its own. Clients reach it through the front door."""

    def __init__(self, revision: Revision, directory: Path, log: Path) -> None:
        self.revision, self._directory = revision, directory
        self._child = Child(log)
        self._port = 0

    @property
    def address(self) -> str:
        """host:port."""
        return f"{HOST}:{self._port}"

    async def start(self, environment: Mapping[str, str]) -> None:
        """Start the process and return when its model is ready. Raises StartFailed, with nothing left running."""
        self._port = _free_port()
        await self._child.start(self._command(), self._environment(environment))
        try:
            await asyncio.wait_for(self._until_ready(), START_SECONDS)
        except TimeoutError:
            await self.stop()
            raise StartFailed(f"The model server was not ready within {START_SECONDS:g} s.") from None
        except BaseException:
            await self.stop()
            raise

    def _command(self) -> list[str]:
        ours = ["--model_dir", str(self._directory), "--http_port", str(self._port), "--host", HOST]
        return [sys.executable, "-m", "serving", *self.revision.arguments, *ours]

    def _environment(self, credentials: Mapping[str, str]) -> dict[str, str]:
        forced = {"OMP_NUM_THREADS": "1", "REVISION": self.revision.label}
        # A manifest may name an object store's address of yesterday; the platform knows today's.
        return {**inherited(*PASSED_ON), **dict(self.revision.environment), **credentials, **forced}

    async def _until_ready(self) -> None:
        path = f"/v2/models/{self.revision.service}/ready"
        while True:
            if not self._child.is_running:
                code = self._child.exit_code
                raise StartFailed(self._child.last_words() or f"The model server ended with code {code}.", code)
            if await asyncio.to_thread(_status_of, self._port, path) == 200:
                return
            await asyncio.sleep(0.05)

    async def ended(self) -> int:
        """Wait for the process to end; returns its code."""
        return await self._child.ended()

    async def stop(self) -> None:
        """End the process; it finishes what it is answering and writes its log first."""
        await self._child.stop()


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
