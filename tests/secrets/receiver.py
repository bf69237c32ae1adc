"""An HTTP receiver that takes whatever it is sent, as webhooks, heartbeats and a Pushgateway do."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from tests.http_server import serving


class Receiver:
    """`paths` holds what was asked for, `logins` how each introduced itself."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.logins: list[str] = []
        self.port = 0


def _handler(owner: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def take(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            owner.paths.append(self.path)
            owner.logins.append(self.headers.get("Authorization") or "")
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = do_PUT = take  # noqa: N815 (http.server's names)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver for the length of a block."""
    owner = Receiver()
    with serving(_handler(owner)) as port:
        owner.port = port
        yield owner
