"""A lineage server that misbehaves: it stands before a real one and drops, delays or spoils what passes."""

import http.client
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit

Choose = Callable[[str], str]
FAULTS = ("refuse", "500", "500 after", "cut after", "garbage")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream: ClassVar[str] = ""
    choose: ClassVar[Choose]
    seen: ClassVar[Counter[str]]
    released: ClassVar[threading.Event]

    def do_GET(self) -> None:
        self._pass()

    def do_POST(self) -> None:
        self._pass()

    do_PUT = do_POST  # noqa: N815

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        fault = type(self).choose(self.command)
        self.seen[fault or "good"] += 1
        if fault == "slow":
            self.released.wait(30)
        if fault in ("refuse", "slow"):
            self.close_connection = True
            return
        status, said = (500, b"{}") if fault in ("500", "garbage") else self._forward(body)
        if fault == "cut after":
            self.close_connection = True
            return
        if fault == "garbage":
            status, said = (200, b"<html>hello</html>") if self.command == "GET" else (502, b"<html>")
        self._answer(500 if fault == "500 after" else status, said)

    def _forward(self, body: bytes) -> tuple[int, bytes]:
        parts = urlsplit(self.upstream)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
        connection.request(self.command, self.path, body or None, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        status, said = answer.status, answer.read()
        connection.close()
        return status, said

    def _answer(self, status: int, said: bytes) -> None:
        head = f"HTTP/1.1 {status} OK\r\nContent-Length: {len(said)}\r\n\r\n"
        self.wfile.write(head.encode() + said)  # at once: in two packets, the second waits for an acknowledgement

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def faulty(upstream: str, choose: Choose) -> Iterator[tuple[str, Counter[str]]]:
    """The URL of a server that asks `choose(verb)` for the fault of each request, and the faults that it made."""
    seen: Counter[str] = Counter()
    released = threading.Event()
    names = {"upstream": upstream, "choose": staticmethod(choose), "seen": seen, "released": released}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), names))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        released.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


def at_random(share: float, seed: int = 7) -> Choose:
    """A fault in this share of the requests, always the same ones in the same order."""
    dice = random.Random(seed)
    return lambda verb: dice.choice(FAULTS) if dice.random() < share else ""


def always(fault: str) -> Choose:
    return lambda verb: fault
