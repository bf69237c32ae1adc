"""State directories of their own for tests that stop, kill or starve a platform."""

import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from embedded import units
from embedded.layout import Layout
from embedded.services import probes
from embedded.services.service import NotReadyError
from tests.conftest import EmbeddedPlatform

PAIR = ("--only", "postgres,minio")  # what starts in a second


class Clone(EmbeddedPlatform):
    """A platform that a test may hurt."""

    def embedded(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "embedded", *args, **env)

    def up(self, *args: str, **env: str) -> str:
        """Start, or fail the test; what was said for people."""
        done = self.embedded("up", *(args or PAIR), **env)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def record(self, name: str) -> units.Record:
        record = units.running(Layout(self.state), name)
        assert record, f"{name} is not supervised"
        return record

    def kill(self, name: str) -> int:
        pid = self.record(name).pid
        assert pid
        os.kill(pid, signal.SIGKILL)
        return pid

    def status(self) -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in json.loads(self.embedded("status", "--json").stdout)}

    def query(self, sql: str, password: str | None = None, database: str = "mlops") -> list[Any]:
        keys = self.addresses()["postgres"]
        known = Path(keys["password_file"]).read_text()
        with psycopg2.connect(
            host=keys["host"], port=keys["port"], user=keys["user"], dbname=database, sslmode="disable",
            password=known if password is None else password, connect_timeout=5,
        ) as session, session.cursor() as cursor:  # fmt: skip
            cursor.execute(sql)
            found = cursor.fetchall() if cursor.description else []
        session.close()
        return found

    def put(self, path: str, body: bytes, secret_key: str | None = None) -> None:
        """Store an object. Raises NotReadyError when the store refuses."""
        keys = self.addresses()["minio"]
        known = secret_key or Path(keys["secret_key_file"]).read_text()
        port = int(keys["endpoint"].rsplit(":", 1)[1])
        probes.s3_put(port, path, body, (keys["access_key"], known))

    def stop_and_delete(self) -> None:
        self.embedded("reset", "--yes")
        shutil.rmtree(self.state, ignore_errors=True)


def new_clone(mode: int = 0o755) -> Clone:
    """An empty state directory, but for ports of its own: the usual ones may come and go with other platforms."""
    state = Path(tempfile.mkdtemp(prefix="mlops-clone-", dir="/tmp"))
    state.chmod(mode)
    layout = Layout(state)
    layout.create()
    first = random.randrange(12_000, 30_000, 20)
    (layout.units / "ports.json").write_text(json.dumps({"minio": first, "postgres": first + 10}))
    return Clone(state)


def until(holds: Callable[[], bool], seconds: float = 30) -> bool:
    """Wait for it; a test asserts the answer. Generous, since no speed is asserted."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if holds():
                return True
        except (psycopg2.Error, NotReadyError, AssertionError, OSError):
            pass
        time.sleep(0.05)
    return False


@pytest.fixture
def clone() -> Iterator[Clone]:
    """An empty state directory; stopped and deleted afterwards."""
    made = new_clone()
    yield made
    made.stop_and_delete()


@pytest.fixture(scope="module")
def pair() -> Iterator[Clone]:
    """PostgreSQL and S3 running, shared by a module; each test leaves them so that `up` brings them back."""
    made = new_clone()
    made.up()
    yield made
    made.stop_and_delete()
