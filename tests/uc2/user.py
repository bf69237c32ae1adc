"""An independent user of the service: keep-alive connections, a steady rate, and every answer remembered."""

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator

import aiohttp


class User:
    """Sends one body again and again; `codes` counts the answers, `broken` what was no answer."""

    def __init__(self, url: str, body: bytes, per_second: float, connections: int = 8) -> None:
        self._url, self._body, self._pause, self._connections = url, body, connections / per_second, connections
        self._stop = threading.Event()
        self.codes: Counter[int] = Counter()
        self.digests: Counter[str] = Counter()
        self.broken: list[str] = []
        self.failures: list[str] = []

    def run(self) -> None:
        asyncio.run(self._all())

    async def _all(self) -> None:
        await asyncio.gather(*(self._one() for _ in range(self._connections)))

    async def _one(self) -> None:
        connector = aiohttp.TCPConnector(limit=1)
        timeout = aiohttp.ClientTimeout(total=20)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            while not self._stop.is_set():
                began = time.monotonic()
                await self._ask(session)
                await asyncio.sleep(max(0.0, self._pause - (time.monotonic() - began)))

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        headers = {"Content-Type": "application/json"}
        try:
            async with session.post(self._url, data=self._body, headers=headers) as answer:
                text = await answer.text()
                self.codes[answer.status] += 1
                self.digests[answer.headers.get("x-model-digest", "")] += 1
                if answer.status != 200:
                    self.failures.append(text)
        except (aiohttp.ClientError, TimeoutError) as error:
            self.broken.append(f"{type(error).__name__}: {error}")

    def stop(self) -> None:
        self._stop.set()


@contextlib.contextmanager
def using(url: str, body: bytes, per_second: float = 200) -> Iterator[User]:
    """A user, for the length of a block."""
    user = User(url, body, per_second)
    thread = threading.Thread(target=user.run)
    thread.start()
    try:
        yield user
    finally:
        user.stop()
        thread.join(30)
