"""Git's own HTTP backend behind a password. While it is asked, it looks at what its clients show to others."""

import base64
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import psutil

from tests.http_server import serving


class GitServer:
    """`seen` holds, of each request, the command lines of all our children and the files of `watched`."""

    def __init__(self, root: Path, user: str, password: str, watched: Path) -> None:
        self.root, self.watched = root, watched
        self.wanted = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
        self.port, self.pushes = 0, 0
        self.seen: list[str] = []

    def look(self) -> None:
        """Note what everybody on this machine could see now."""
        for child in psutil.Process().children(recursive=True):
            try:
                self.seen.append(" ".join(child.cmdline()))
            except psutil.Error:
                continue
        for path in self.watched.rglob("*"):
            if path.is_file():
                self.seen.append(path.read_text(errors="replace"))

    def backend(self, variables: dict[str, str], body: bytes) -> tuple[bytes, bytes]:
        """Headers and body of `git http-backend`'s answer."""
        env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1",
               "REMOTE_USER": "somebody", "GIT_CONFIG_NOSYSTEM": "1", **variables}  # fmt: skip
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=True, timeout=30)
        headers, _, content = done.stdout.partition(b"\r\n\r\n")
        return headers, content


def _handler(owner: GitServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def relay(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            owner.look()
            if self.headers.get("Authorization") != owner.wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", "Basic")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            owner.pushes += self.path.endswith("/git-receive-pack") and self.command == "POST"
            path, _, query = self.path.partition("?")
            headers, content = owner.backend(self.variables(path, query), body)
            return self.answer(dict(line.split(": ", 1) for line in headers.decode().split("\r\n")), content)

        def variables(self, path: str, query: str) -> dict[str, str]:
            return {
                "REQUEST_METHOD": self.command, "PATH_INFO": path, "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }  # fmt: skip

        def answer(self, headers: dict[str, str], content: bytes) -> None:
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = relay  # noqa: N815 (http.server's names)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextmanager
def git_server(root: Path, user: str, password: str, watched: Path) -> Iterator[GitServer]:
    """The repositories in `root` over HTTP, for the length of a block."""
    owner = GitServer(root, user, password, watched)
    with serving(_handler(owner)) as port:
        owner.port = port
        yield owner
