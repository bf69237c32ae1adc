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
pytestmark = pytest.mark.timeout(600)
NOBODY = 65534


def twenty(toy: ToyWorld) -> tuple[int, list[str]]:
    """Start them, wait until one is left, and stop that; its pid, and what the others were told."""
    runs = [toy.start(TOY_SLEEP="250") for _ in range(STARTS)]
    try:
        assert wait_for(lambda: sum(run.poll() is not None for run in runs) >= STARTS - 1, 200)
        assert sorted(run.returncode or 0 for run in runs) == [0] + [75] * (STARTS - 1)
        (holder,) = [run for run in runs if run.returncode is None]
        assert wait_for((toy.path / "started").exists)
        return holder.pid, [run.communicate()[1] for run in runs if run is not holder]
    finally:
        for run in runs:
            run.terminate()
            run.communicate(timeout=30)


@pytest.mark.deep
def test_of_twenty_starts_one_runs_and_nineteen_are_told_who_it_is(toy: ToyWorld) -> None:
    holder, told = twenty(toy)
    assert all(f"pid {holder}" in text for text in told), told
    started = [event for event in Ledger(toy.state / "ledger.db").events() if event.kind == "run_started"]
    assert len(started) == 1
    assert toy.ran() == ["01", "02"]


@pytest.mark.deep
def test_after_the_holder_was_killed_one_of_twenty_gets_through_and_none_is_sent_to_the_dead(toy: ToyWorld) -> None:
    dead = toy.start(TOY_SLEEP="60")
    assert wait_for((toy.path / "started").exists)
    dead.kill()
    dead.communicate()
    holder, told = twenty(toy)
    assert not [text for text in told if f"pid {dead.pid}" in text]
    assert all(f"pid {holder}" in text for text in told), told
    ended = [event.state for event in Ledger(toy.state / "ledger.db").events() if event.kind == "run_ended"]
    assert ended[0] == "interrupted"
    assert len(ended) == 2


@pytest.mark.deep
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
