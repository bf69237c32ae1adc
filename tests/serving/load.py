"""Clients that ask a served model all the time, and note who answered."""

import asyncio
import collections
import threading
from typing import Any, Self

from aiohttp import ClientError, ClientSession, ClientTimeout

CLIENTS = 16


class Load:
    """Asks `per_second` times a second while the `with` block runs; `heard` counts answers by revision."""

    def __init__(self, url: str, service: str, row: dict[str, Any], per_second: float = 200) -> None:
        self._url, self._body = f"{url}/v1/models/{service}:predict", {"instances": [row]}
        self._pause = CLIENTS / per_second
        self.heard: collections.Counter[str] = collections.Counter()
        self.failures: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def asked(self) -> int:
        return sum(self.heard.values())

    async def _all(self) -> None:
        async with ClientSession(timeout=ClientTimeout(30)) as session:
            await asyncio.gather(*(self._client(session) for _ in range(CLIENTS)))

    async def _client(self, session: ClientSession) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._over.is_set():
            await self._ask(session)
            due = max(due + self._pause, loop.time() - 1)
            await asyncio.sleep(max(due - loop.time(), 0))

    async def _ask(self, session: ClientSession) -> None:
        try:
            async with session.post(self._url, json=self._body) as answer:
                await answer.read()
                self.heard[answer.headers.get("x-model-revision", "")] += 1
                if answer.status != 200:
                    self.failures.append(f"{answer.status} {await answer.text()}")
        except (ClientError, TimeoutError) as error:
            self.failures.append(repr(error))
