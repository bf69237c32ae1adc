"""A world of its own for each test of the floor: a state directory, a source, no platform."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.paths import ROOT

TOY = ROOT / "tests" / "floor" / "toy"


class ToyWorld:
    """The toy pipeline's world, and ways to run the toy in it as a user would."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "world"
        self.state = directory / "state"
        self.path.mkdir()
        self.write("1 2 3")

    def write(self, text: str) -> None:
        (self.path / "source.txt").write_text(text)

    def ran(self) -> list[str]:
        ran = self.path / "ran.txt"
        return ran.read_text().split() if ran.exists() else []

    def environment(self, **more: str) -> dict[str, str]:
        known = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(self.path), "LANG": "C.UTF-8"}
        return {**known, "TOY_WORLD": str(self.path), "MLOPS_STATE_DIR": str(self.state), **more}

    def run(self, *args: str, script: str = "run_pipeline.py", **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(TOY / script), *args], env=self.environment(**env), cwd="/",
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    def start(self, *args: str, **env: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, str(TOY / "run_pipeline.py"), *args], env=self.environment(**env), cwd="/",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        return child


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyWorld]:
    world = ToyWorld(tmp_path)
    monkeypatch.setenv("TOY_WORLD", str(world.path))
    monkeypatch.setenv("MLOPS_STATE_DIR", str(world.state))
    yield world
    child = world.path / "child.pid"
    if child.exists():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(child.read_text()), signal.SIGKILL)


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """True as soon as the condition holds; False when it did not within the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False
