"""An API server that answers as it is told, in the words of the real one; it notes what it was asked."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Document = dict[str, Any]


@dataclass
class Answer:
    """A status, a body (an object, text, or the events of a watch) and headers."""

    status: int
    body: Any = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def raw(self) -> bytes:
        if isinstance(self.body, list):
            return b"".join(json.dumps(event).encode() + b"\n" for event in self.body)
        return (json.dumps(self.body) if isinstance(self.body, dict) else str(self.body)).encode()


@dataclass
class Scripted:
    """Answers in order, the last one for ever."""

    port: int
    scheme: str = "http"
    answers: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    @property
    def server(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def next(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def status(code: int, reason: str, message: str, details: Document | None = None) -> Answer:
    """metav1.Status, as apimachinery writes it."""
    body = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "details": details or {}, "code": code,
    }  # fmt: skip
    return Answer(code, body)


@contextmanager
def scripted(certificate: Path | None = None, key: Path | None = None) -> Iterator[Scripted]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            known.asked.append((self.command, self.path))
            known.tokens.append(self.headers.get("Authorization", ""))
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = known.next()
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.raw)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.raw)

        do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 (the names are the library's)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    known = Scripted(server.server_address[1], "https" if certificate else "http")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
