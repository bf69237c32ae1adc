"""Proxies between a step and its services. Each misbehaves as told, from its nth request on, and counts.

They know just enough of the protocols: where an HTTP request begins, and when PostgreSQL has let somebody in.
"""

import asyncio
import contextlib
import re
import socket
import struct
import threading
from collections.abc import Coroutine
from typing import Any

from tests.faults import answers

REQUEST = re.compile(rb"(GET|HEAD|PUT|POST|PATCH|DELETE) (\S+) HTTP/1\.[01]\r\n")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
LET_IN = b"Z\x00\x00\x00\x05"  # ReadyForQuery
NEGOTIATIONS = (80877103, 80877104)  # SSLRequest and GSSENCRequest: asked before anything else
ACKNOWLEDGED_BYTES = 30  # an answer of PostgreSQL that is no longer than this has no rows
LATE_SECONDS = 0.15
NOT_THE_STEPS = b"/predictions/"  # what the model servers log by themselves


class Proxy:
    """One port before one server. `requests` and `strikes` list what was asked, and what was answered badly."""

    def __init__(self, service: str, host: str, port: int) -> None:
        self.service, self.target, self.port = service, (host, port), 0
        self._server: asyncio.Server | None = None
        self.behave()

    def behave(self, fault: str = "", since: int = 1) -> None:
        """Count anew, and misbehave from request (refused and reset: connection) number `since` on."""
        self.fault, self.since = fault, since
        self.requests: list[str] = []
        self.strikes: list[str] = []
        self.connections = self.looks = 0

    async def open(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more: from now on connections are refused."""
        if self._server:
            self._server.close()
            self._server = None

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        struck = self.connections >= self.since
        if self.fault == "refused" and self.connections + 1 >= self.since:
            await self.close()
        if self.fault == "reset" and struck:
            self.strikes.append("")
            return _reset(writer)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await _Connection(self, reader, writer).run()
        finally:
            writer.close()  # also where the test is over first

    def note(self, what: str) -> bool:
        """A request has come. Is it to be answered badly?"""
        self.requests.append(what)
        struck = bool(self.fault) and self.fault not in ("refused", "reset") and len(self.requests) >= self.since
        if struck:
            self.strikes.append(what)
        return struck


class _Connection:
    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.proxy, self.reader, self.writer = proxy, reader, writer
        self.cut = self.has_body = self.is_in = False

    async def run(self) -> None:
        first = await self.reader.read(65536)
        if not first:
            self.proxy.looks += 1
            return
        upstream, out = await asyncio.open_connection(*self.proxy.target)
        back = asyncio.create_task(self._back(upstream))
        try:
            await self._forth(first, out)
        finally:
            out.close()
            if not self.cut:
                with contextlib.suppress(OSError, asyncio.CancelledError, TimeoutError):
                    await asyncio.wait_for(back, 5)
            back.cancel()

    async def _forth(self, data: bytes, out: asyncio.StreamWriter) -> None:
        if self.proxy.service == "postgres":
            if struct.unpack("!i", data[4:8])[0] in NEGOTIATIONS:
                self.writer.write(b"N")
                data = await self.reader.read(65536)
            if data and self.proxy.note("connection") and await self._misbehaves(data):
                return
        while data:
            asked = REQUEST.match(data)
            if asked and NOT_THE_STEPS not in asked[2]:
                what = f"{asked[1].decode()} {asked[2].decode()}"
                self.has_body = asked[1] != b"HEAD"
                if self.proxy.note(what) and await self._misbehaves(data):
                    return
            out.write(data)
            await out.drain()
            data = await self.reader.read(65536)

    async def _misbehaves(self, data: bytes) -> bool:
        """Do what the fault says; True where the request goes no further."""
        fault = self.proxy.fault
        if fault == "slow":
            await asyncio.sleep(LATE_SECONDS)
        elif fault in ("cut", "stall"):
            self.cut = True
        elif fault == "black hole":
            while await self.reader.read(65536):
                pass
            return True
        elif fault in answers.SQL:
            self.writer.write(answers.postgres(fault))
            await self.writer.drain()
            return True
        else:
            await self._take_in(data)
            self.writer.write(answers.http(self.proxy.service, int(fault)))
            await self.writer.drain()
            return True
        return False

    async def _take_in(self, data: bytes) -> None:
        """Read the rest of a request, so that closing the connection does not destroy the answer."""
        head, _, body = data.partition(b"\r\n\r\n")
        if b"100-continue" in head.lower():
            return
        length = LENGTH.search(head)
        left = int(length[1]) - len(body) if length else 0
        while left > 0 and (more := await self.reader.read(65536)):
            left -= len(more)
        if b"chunked" in head.lower():
            while not body.endswith(b"0\r\n\r\n"):
                body += await self.reader.read(65536)

    async def _back(self, upstream: asyncio.StreamReader) -> None:
        while data := await upstream.read(65536):
            if self.cut and (kept := self._kept(data)) is not None:
                self.writer.write(kept)
                await self.writer.drain()
                if self.proxy.fault == "stall":
                    await asyncio.sleep(3600)
                await asyncio.sleep(0.02)  # what was kept must arrive before the reset destroys it
                return _reset(self.writer)
            self.writer.write(data)
            await self.writer.drain()
        if not self.cut:
            self.writer.write_eof()

    def _kept(self, data: bytes) -> bytes | None:
        """What still arrives of an answer that breaks off; None where it is not this one, or not yet."""
        if self.proxy.service == "postgres":
            was_in, self.is_in = self.is_in, self.is_in or LET_IN in data
            return data[: len(data) // 2] if was_in and len(data) > ACKNOWLEDGED_BYTES else None
        head, end, body = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.") or head.startswith(b"HTTP/1.1 100"):
            return None if head.startswith(b"HTTP/1.1 100") else data[: len(data) // 2]
        if not body and self.has_body and b"content-length: 0" not in head.lower() and b" 204" not in head[:13]:
            return None  # the body comes next
        return head + end + body[: len(body) // 2] if body else head[: len(head) // 2]


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Proxies:
    """Proxies by service, on a thread of their own."""

    def __init__(self, targets: dict[str, tuple[str, int]]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()
        self.of = {service: Proxy(service, *target) for service, target in targets.items()}
        for proxy in self.of.values():
            self._do(proxy.open())

    def behave(self, service: str = "", fault: str = "", since: int = 1) -> None:
        """One service misbehaves, the others do not; all count anew."""
        for proxy in self.of.values():
            proxy.behave()
            if proxy._server is None:
                self._do(proxy.open())
        if service:
            self.of[service].behave(fault, since)
            if fault == "refused" and since <= 1:
                self._do(self.of[service].close())

    def stop(self) -> None:
        """Hang up on everybody."""
        for proxy in self.of.values():
            self._do(proxy.close())
        self._do(_cancelled())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)


async def _cancelled() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0.05)  # what was closed is gone a turn of the loop later
