"""Sends requests at a steady rate from a thread of its own, whatever the caller waits for meanwhile.

Open-loop: request n is due n / rate seconds after the start, whatever became of those before it, so that a slow canary
gets as many requests as a quick one. Where every connection is busy, requests wait, and that is counted.
"""

import asyncio
import itertools
import threading
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from common.settings_uc2 import Traffic as Section
    from common.traffic import Sent

TICK_SECONDS = 0.05  # how soon the thread notices that it is to stop
GRACE_SECONDS = 0.4  # for requests that are under way by then
STOP_SECONDS = 1.0
ANSWER_SECONDS = 10.0
# Shorter than a server's own, which would close a connection while the next request is on its way.
KEEPALIVE_SECONDS = 2.0


class Replay:
    """Sends `bodies` in turn to one address until it is stopped. `error` is what ended it before, if anything did."""

    def __init__(
        self, address: str, headers: Mapping[str, str], bodies: Sequence[bytes], section: "Section", sent: "Sent"
    ) -> None:
        self._address, self._bodies, self._sent = address, bodies, sent
        self._headers = {"Content-Type": "application/json", **headers}
        self._rate, self._connections = section.requests_per_second, section.connections
        self._prefix, self._numbers, self._begun = uuid.uuid4().hex[:12], itertools.count(), 0
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)
        self._stopping = threading.Event()
        self.error: Exception | None = None

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """End within a second, with the last answers or without them."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        try:
            asyncio.run(self._send())
        except* Exception as raised:
            self.error = raised.exceptions[0]

    async def _send(self) -> None:
        connector = aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=KEEPALIVE_SECONDS)
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=self._headers) as session:
            await self._send_over(session)

    async def _send_over(self, session: aiohttp.ClientSession) -> None:
        started = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            senders = [group.create_task(self._sender(session, started)) for _ in range(self._connections)]
            while not self._stopping.is_set():
                await asyncio.sleep(TICK_SECONDS)
                due = int((asyncio.get_running_loop().time() - started) * self._rate)
                self._sent.waiting = max(0, due - self._begun)
            await asyncio.wait(senders, timeout=GRACE_SECONDS)
            for sender in senders:
                sender.cancel()

    async def _sender(self, session: aiohttp.ClientSession, started: float) -> None:
        """One connection: takes the next number, waits until it is due, sends it, waits for the answer."""
        for number in self._numbers:
            await self._until(started + number / self._rate)
            if self._stopping.is_set():
                return
            self._begun += 1
            await self._ask(session, number)

    async def _until(self, due: float) -> None:
        clock = asyncio.get_running_loop().time
        while (wait := due - clock()) > 0 and not self._stopping.is_set():
            await asyncio.sleep(min(wait, TICK_SECONDS))

    async def _ask(self, session: aiohttp.ClientSession, number: int) -> None:
        body, headers = self._bodies[number % len(self._bodies)], {"x-request-id": f"{self._prefix}-{number}"}
        try:
            async with session.post(self._address, data=body, headers=headers) as answer:
                await answer.read()
            self._sent.codes[answer.status] += 1
        except (aiohttp.ClientError, OSError):  # a timeout is an OSError too
            self._sent.failed += 1
