"""One embedded platform for the whole test session, and a way to run scripts as a user would."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.config import load_settings
from common.paths import ROOT
from common.settings import Settings

RunPython = Callable[..., subprocess.CompletedProcess[str]]


def clean_environment(**more: str) -> dict[str, str]:
    """What a new user's shell has, and nothing of ours."""
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", **more}


def _run(args: list[str], timeout: float = 300, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *args]
    return subprocess.run(
        command, cwd=cwd, env=clean_environment(**env), capture_output=True, text=True, timeout=timeout
    )


LONG = ("faults", "secrets", "kill", "uc1", "environments", "tables", "uc2", "model", "uc4", "uc5", "uc6")


def pytest_configure() -> None:
    """A shell starts background jobs deaf to SIGINT, and children inherit that: runs must hear it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes: at the end, one worker would run them while the others wait."""
    items.sort(key=lambda item: LONG.index(item.path.parent.name) if item.path.parent.name in LONG else len(LONG))


@dataclass(frozen=True)
class EmbeddedPlatform:
    """A running platform: its state directory, and Python run against it."""

    state: Path

    def addresses(self) -> dict[str, dict[str, Any]]:
        """What it publishes."""
        published: dict[str, dict[str, Any]] = yaml.safe_load((self.state / "addresses.yaml").read_text())
        return published

    def run(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run `python *args` in a clean environment that knows only this platform."""
        return _run(list(args), **{"MLOPS_STATE_DIR": str(self.state), **env})


@pytest.fixture(scope="session")
def run_python() -> RunPython:
    """`run_python(["script.py", "--flag"], NAME="value")`: as a user would, in a clean environment."""
    return _run


@pytest.fixture(scope="session")
def platform() -> Iterator[EmbeddedPlatform]:
    """Everything embedded, started once; this process's settings point to it too. Stopped and deleted at the end."""
    state = Path(tempfile.mkdtemp(prefix="mlops-tests-", dir="/tmp"))
    state.chmod(0o755)  # PostgreSQL under root runs as another account, which must be able to enter
    running = EmbeddedPlatform(state)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_STATE_DIR", str(state))
        try:
            started = running.run("-m", "embedded", "up")
            assert started.returncode == 0, started.stderr
            yield running
        finally:
            running.run("-m", "embedded", "down")
            shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="session")
def settings(platform: EmbeddedPlatform) -> Settings:
    """The settings that point to the session's platform."""
    assert platform.state
    return load_settings()
