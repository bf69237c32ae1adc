"""The environments that runs are started from: cron's, a service's, an odd user's. None makes a difference."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.floor.conftest import TOY as TOY_FOLDER
from tests.floor.conftest import ToyWorld

pytestmark = pytest.mark.timeout(600)
# What Python makes of C by itself is UTF-8; with these it is ASCII.
ASCII = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def from_cron(script: Path, variables: dict[str, str], *args: str, umask: str = "077") -> list[str]:
    """The command that starts a script as cron does: by /bin/sh, from /, with next to no environment."""
    line = f"cd / && umask {umask} && {shlex.join([sys.executable, str(script), *args])}"
    return ["env", "-i", *(f"{name}={value}" for name, value in variables.items()), "/bin/sh", "-c", line]


def ours(environment: dict[str, str]) -> dict[str, str]:
    """Without PATH and HOME, which nobody promises."""
    return {name: value for name, value in environment.items() if name.startswith(("MLOPS_", "TOY_", "PYTHONPATH"))}


@pytest.mark.parametrize("variables", [{}, ASCII], ids=["nothing", "ASCII"])
def test_an_empty_environment_is_enough(toy: ToyWorld, variables: dict[str, str]) -> None:
    (toy.path / "source.txt").write_text("1 2 3")
    command = from_cron(TOY_FOLDER / "run_pipeline.py", {**ours(toy.environment()), **variables})
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert (toy.path / "total.txt").read_text() == "6"
