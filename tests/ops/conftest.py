"""A clone's schedules with cheap scripts, a crontab and a systemctl of the test's own, and a real receiver."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from common.paths import ROOT

# The protocol of crontab(1): -l prints or fails, - reads standard input; the table is a file.
CRONTAB = """#!/bin/sh
case "$1" in
  -l) test -s "{table}" && cat "{table}" || {{ echo "no crontab for $USER" >&2; exit 1; }} ;;
  -)  cat > "{table}" ;;
  *)  exit 2 ;;
esac
"""
SYSTEMCTL = """#!/bin/sh
echo "$@" >> "{calls}"
"""


@dataclass
class Machine:
    """A user's machine: its crontab, its systemd, and `python -m common schedule` on it."""

    home: Path
    state: Path
    with_programs: bool = True
    calls: Path = field(init=False)
    table: Path = field(init=False)

    def __post_init__(self) -> None:
        self.calls, self.table = self.home / "systemctl.log", self.home / "crontab.txt"
        (self.home / "bin").mkdir(parents=True)
        self._program("crontab", CRONTAB.format(table=self.table))
        self._program("systemctl", SYSTEMCTL.format(calls=self.calls))

    def _program(self, name: str, text: str) -> None:
        path = self.home / "bin" / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def config(self, text: str) -> Path:
        path = self.home / "config.yaml"
        path.write_text(text)
        return path

    def schedule(self, *arguments: str, config: Path, programs: bool = True) -> subprocess.CompletedProcess[str]:
        path = f"{self.home / 'bin'}:/usr/bin:/bin" if programs else str(self.empty())
        environment = {"PATH": path, "HOME": str(self.home), "MLOPS_STATE_DIR": str(self.state), "USER": "somebody"}
        command = [sys.executable, "-m", "common", "schedule", *arguments, "--config", str(config)]
        return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60)

    def empty(self) -> Path:
        """A PATH with `timeout` and nothing else."""
        place = self.home / "few"
        place.mkdir(exist_ok=True)
        if not (place / "timeout").exists():
            (place / "timeout").symlink_to("/usr/bin/timeout")
        return place


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "home of 100%", tmp_path / "state of 100%")


@dataclass
class Receiver:
    """A watchdog's HTTP server: it notes the path of each request, and answers with the codes that it is told."""

    port: int
    heard: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known.heard.append(self.path)
            self.send_response(known.answers.pop(0) if known.answers else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known = Receiver(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield known
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def cheap_script() -> Iterator[str]:
    """A script of this repository that notes its arguments and environment, then ends with the code that it is told."""
    path = ROOT / "tests" / "ops" / f"cheap_{os.getpid()}.py"
    path.write_text(
        "import json, os, sys\n"
        "place = os.environ['MLOPS_STATE_DIR'] + '/ran.json'\n"
        "json.dump({'argv': sys.argv[1:], 'cwd': os.getcwd(), 'names': sorted(os.environ)}, open(place, 'w'))\n"
        "print('it ran')\n"
        "raise SystemExit(int(open(os.environ['MLOPS_STATE_DIR'] + '/code').read()))\n"
    )
    yield str(path.relative_to(ROOT))
    path.unlink()
