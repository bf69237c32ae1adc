"""The how-to page about an own table is run as a reader would run it, and says what really comes out."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from common.paths import ROOT
from tests.conftest import EmbeddedPlatform, clean_environment

PAGE = (ROOT / "docs/how-to/own-table.md").read_text()


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [text for said, text in found if said == language]


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("reader")
    (directory / "make_members.py").write_text(blocks("python")[0])
    return directory


def shell(platform: EmbeddedPlatform, where: Path, command: str) -> subprocess.CompletedProcess[str]:
    """A line of the page, in a directory of the reader's own; `python` is this one, scripts are the project's."""
    line = re.sub(r"^python (?=uc)", f"python {ROOT}/", command).replace("python", sys.executable, 1)
    env = clean_environment(MLOPS_STATE_DIR=str(platform.state), PYTHONPATH=str(ROOT))
    return subprocess.run(["sh", "-c", line], cwd=where, env=env, capture_output=True, text=True, timeout=250)


def commands() -> list[tuple[str, str]]:
    """Each command of the page with the output below it."""
    found = [re.split(r"^\$ ", block, flags=re.MULTILINE)[1:] for block in blocks("")]
    return [tuple(each.split("\n", 1)) for block in found for each in block]  # type: ignore[misc]


@pytest.fixture(scope="module")
def prepared(platform: EmbeddedPlatform, where: Path) -> tuple[str, str]:
    """The page's first three commands have been run in `where`: what loading printed, and what the page shows."""
    (make, _), (load, shown), (profile, _) = commands()[:3]
    assert shell(platform, where, make).returncode == 0
    loaded = shell(platform, where, load)
    assert loaded.returncode == 0, loaded.stderr
    assert shell(platform, where, profile).returncode == 0
    return loaded.stderr, shown


def test_the_file_is_made_and_loaded_with_the_output_that_the_page_shows(
    prepared: tuple[str, str], where: Path
) -> None:
    printed, shown = prepared
    assert printed.endswith(shown)
    assert (where / "gym.yaml").read_text() == blocks("yaml")[0]


@pytest.mark.deep
@pytest.mark.usefixtures("prepared")
def test_the_page_s_pipeline_runs_up_to_its_features(platform: EmbeddedPlatform, where: Path) -> None:
    """What follows is the same for any table, and tests/tables/test_whole_runs.py has it."""
    run, shown = commands()[3]
    own = " --set minio.bucket=page --set feast.project=page --set dvc.prefix=page"
    done = shell(platform, where, f"{run} --until 04{own}")
    assert done.returncode == 0, done.stderr[-3000:]
    told = re.findall(r"(800 rows, digest \w+|2\d of 2\d expectations hold, 3 warnings|2 numeric, .*online)", shown)
    assert len(told) == 3
    for said in told:
        assert said in done.stdout


def test_the_query_of_the_page_is_a_configuration() -> None:
    assert set(yaml.safe_load(blocks("yaml")[1])["uc1"]) == {"query", "model_name", "entity", "label"}
