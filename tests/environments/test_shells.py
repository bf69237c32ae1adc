"""The environments that runs are started from: cron's, a service's, an odd user's. None makes a difference."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from common.paths import ROOT
from tests.conftest import EmbeddedPlatform
from tests.floor.conftest import TOY as TOY_FOLDER
from tests.floor.conftest import ToyWorld
from tests.tables import public
from tests.tables.own import OwnTable

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


@pytest.fixture(scope="module")
def awkward(platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> OwnTable:
    """A table whose names and values no ASCII holds; UC1 has run on it once."""
    directory = tmp_path_factory.mktemp("tables")
    own = OwnTable("shells", directory, platform)
    own.load(public.awkward(directory / "awkward.csv", 900), 'shells "table" 名')
    own.profile('shells "table" 名', entity=None, dropped=["Kunden Nr."], ordered={"Région": ["Île", "Forêt"]},
                gate={"min_roc_auc": 0.6}, expectations={"required": ["label?"]})  # fmt: skip
    own.results()
    return own


def seen_from(own: OwnTable, *args: str, umask: str = "077", **variables: str) -> Any:
    script = ROOT / "uc1_churn_prediction" / "run_pipeline.py"
    command = from_cron(script, {**ours(own.env), **variables}, *args, umask=umask)
    return subprocess.run(command, capture_output=True, timeout=280)


SHELLS: dict[str, dict[str, str]] = {
    "nothing at all": {}, "ASCII": ASCII, "a locale that is not installed": {"LC_ALL": "de_DE.ISO-8859-1"},
    "a home that is read-only": {"HOME": "/proc"}, "a home that is a file": {"HOME": "/dev/null"},
    "a zone that does not exist": {"TZ": "Mars/Olympus"}, "a terminal that is none": {"TERM": "dumb", "COLUMNS": "1"},
}  # fmt: skip


@pytest.mark.deep
@pytest.mark.parametrize("shell", SHELLS)
def test_from_every_shell_everything_is_seen_to_be_unchanged(awkward: OwnTable, shell: str) -> None:
    before = awkward.world()
    done = seen_from(awkward, "--json", **SHELLS[shell])
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count(b'"unchanged"') == 6, done.stdout
    assert awkward.world() == before


@pytest.mark.deep
@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["for people", "as JSON"])
def test_made_anew_from_the_worst_of_them_it_is_the_same_world(awkward: OwnTable, flags: tuple[str, ...]) -> None:
    before = awkward.world()
    done = seen_from(awkward, "--force", *flags, **ASCII, HOME="/proc", TZ="Pacific/Apia")
    assert done.returncode == 0, done.stderr[-3000:]
    assert awkward.world() == before
    newest = max(awkward.state.glob("runs/*/report.html"), key=lambda path: path.stat().st_mtime)
    assert "Région" in newest.read_text(encoding="utf-8")
    if os.geteuid() == 0:
        assert not [p for p in newest.parent.iterdir() if p.stat().st_mode & 0o077], "umask 077 was widened"
