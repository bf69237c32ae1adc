"""A proxy before a real HTTP server that loses answers: the request arrives and is done, and nobody hears of it."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class LostAnswers:
    """Loses the first answer to each kind of POST whose path ends as one of `lossy`; `lost` says which it lost."""

    def __init__(self, target: str, lossy: tuple[str, ...]) -> None:
        self.target, self.lossy = urlsplit(target), lossy
        self.lost: list[str] = []
        self.url = ""

    def loses(self, method: str, path: str) -> bool:
        """Whether the answer to this request is lost; each kind is lost once."""
        kind = next((each for each in self.lossy if path.endswith(each)), "")
        if method != "POST" or not kind or kind in self.lost:
            return False
        self.lost.append(kind)
        return True

    def asked(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        """Status, content type and body that the server answers."""
        connection = http.client.HTTPConnection(str(self.target.hostname), int(self.target.port or 80), timeout=30)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Content-Type", ""), answer.read()
        finally:
            connection.close()


@contextmanager
def losing(target: str, *lossy: str) -> Iterator[LostAnswers]:
    """A proxy to `target` for the length of a block."""
    owner = LostAnswers(target, lossy)

    class Handler(BaseHTTPRequestHandler):
        def relay(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name: value for name, value in self.headers.items() if name.lower() != "accept-encoding"}
            status, kind, data = owner.asked(self.command, self.path, headers, body)
            if owner.loses(self.command, self.path.partition("?")[0]):
                return  # the connection closes without a word
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = relay  # noqa: N815 (http.server's names)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    owner.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield owner
    finally:
        server.shutdown()
        server.server_close()
