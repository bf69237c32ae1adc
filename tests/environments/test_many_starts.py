"""Many starts at once, a lone step beside a pipeline, another user's start: one at a time, and told who is at it."""

import os
import shutil
import subprocess
import sys
from typing import Any

import pytest

from common.ledger import Ledger
from tests.floor.conftest import TOY, ToyWorld, wait_for

STARTS = 20
NOBODY = 65534


def said(run: "subprocess.Popen[str]") -> str:
    return run.communicate(timeout=120)[1]


@pytest.mark.deep
def test_of_twenty_starts_one_runs_and_nineteen_are_told_who_it_is(toy: ToyWorld) -> None:
    runs = [toy.start(TOY_SLEEP="20") for _ in range(STARTS)]
    told = {run.pid: said(run) for run in runs}
    (holder,) = [run.pid for run in runs if run.returncode == 0]
    assert sorted(run.returncode for run in runs) == [0] + [75] * (STARTS - 1)
    assert all(f"pid {holder}" in told[run.pid] for run in runs if run.pid != holder), told
    started = [event for event in Ledger(toy.state / "ledger.db").events() if event.kind == "run_started"]
    assert len(started) == 1
    assert toy.ran() == ["01", "02", "03"]


@pytest.mark.deep
def test_after_the_holder_was_killed_one_of_twenty_gets_through_at_once_and_none_is_sent_to_the_dead(
    toy: ToyWorld,
) -> None:
    dead = toy.start(TOY_SLEEP="60")
    assert wait_for((toy.path / "started").exists)
    dead.kill()
    dead.communicate()
    runs = [toy.start(TOY_SLEEP="20") for _ in range(STARTS)]
    told = {run.pid: said(run) for run in runs}
    assert sorted(run.returncode for run in runs) == [0] + [75] * (STARTS - 1)
    assert not [text for text in told.values() if f"pid {dead.pid}" in text]
    ended = [event.state for event in Ledger(toy.state / "ledger.db").events() if event.kind == "run_ended"]
    assert ended == ["interrupted", "done"]


@pytest.mark.parametrize("holder", ["run_pipeline.py", "toy_02_sum.py"])
def test_a_lone_step_and_a_pipeline_are_each_refused_beside_the_other(toy: ToyWorld, holder: str) -> None:
    assert toy.run("--until", "01").returncode == 0
    environment = toy.environment(TOY_SLEEP="60")
    with subprocess.Popen([sys.executable, str(TOY / holder)], env=environment, stderr=subprocess.DEVNULL) as first:
        try:
            assert wait_for((toy.path / "started").exists)
            ran = toy.ran()
            for script in ("run_pipeline.py", "toy_01_read.py", "run_both.py"):
                refused = toy.run(script=script)
                assert refused.returncode == 75, refused.stderr
                assert f"pid {first.pid}, `{holder}`" in refused.stderr
            assert toy.ran() == ran
        finally:
            first.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can play other users")
def test_another_users_start_is_refused_in_a_sentence_that_names_the_place(toy: ToyWorld) -> None:
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed")
    assert toy.run().returncode == 0
    for path in (toy.state, *toy.state.parents):
        if path.stat().st_uid == os.geteuid() and str(path).startswith("/tmp/"):
            path.chmod(0o755)
    power = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *power, sys.executable]
    environment = toy.environment(PYTHONDONTWRITEBYTECODE="1")
    if subprocess.run([*command, "-c", ""], env=environment, capture_output=True).returncode:
        pytest.skip("Python cannot be reached as another user here")
    done: Any = subprocess.run(
        [*command, str(TOY / "run_pipeline.py")], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 77, done.stderr
    assert str(toy.state) in done.stderr
    assert "Traceback" not in done.stderr
