"""Killed by the clock in the middle of every step, the pipeline alone, and simply run again: the same end state."""

import os
import random
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from common.lock import RUN_MARK
from tests.conftest import EmbeddedPlatform
from tests.floor.conftest import wait_for
from tests.uc1.universe import STEPS, Universe

pytestmark = [pytest.mark.deep, pytest.mark.timeout(2400)]
ROWS = 1500
DELAYS = {"uc1_01": 0.1, "uc1_02": 1.0, "uc1_03": 1.5, "uc1_04": 3.0, "uc1_05": 4.0, "uc1_06": 0.5}


@pytest.fixture(scope="module")
def undisturbed(platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The world that a run leaves when nobody kills it."""
    universe = Universe("calm", tmp_path_factory.mktemp("universes"), platform.state).prepare(ROWS)
    universe.states()
    return universe.world()


def started(universe: Universe, step: str) -> int:
    """How often the ledger says that the step began."""
    try:
        with sqlite3.connect(f"file:{universe.state / 'ledger.db'}?mode=ro", uri=True) as connection:
            query = "SELECT count(*) FROM events WHERE kind = 'step_started' AND step = ?"
            return int(connection.execute(query, (STEPS[step],)).fetchone()[0])
    except sqlite3.Error:
        return 0


def children(universe: Universe) -> list[psutil.Process]:
    """Live processes that carry the mark of a run of this universe."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(RUN_MARK, "").startswith(f"{universe.state}:"):
                found += [process] if process.status() != psutil.STATUS_ZOMBIE else []
        except psutil.Error:
            continue
    return found


def kill_in(universe: Universe, step: str, delay: float) -> int:
    """Start the pipeline and kill it, and nothing but it, `delay` seconds into `step`; returns how it ended."""
    before = started(universe, step)
    run = universe.start()
    assert wait_for(lambda: started(universe, step) > before or run.poll() is not None, 200), step
    time.sleep(delay)
    run.kill()
    return run.wait()


def test_a_killed_component_fails_the_step_and_the_next_run_finishes_it(
    platform: EmbeddedPlatform, tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    universe = Universe("component", tmp_path, platform.state).prepare(ROWS)
    run = universe.start()
    assert wait_for(lambda: started(universe, "uc1_05") > 0, 200)
    assert wait_for(lambda: bool(components(universe, run.pid)), 60)
    for component in components(universe, run.pid):
        os.kill(component.pid, signal.SIGKILL)
    assert run.wait(120) == 1
    universe.states()
    assert universe.world() == undisturbed


def components(universe: Universe, run: int) -> list[psutil.Process]:
    return [process for process in children(universe) if process.pid != run and "kfp" in " ".join(process.cmdline())]


def test_a_pipeline_that_is_killed_in_every_step_leaves_the_undisturbed_world_and_no_children(
    platform: EmbeddedPlatform, tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    """By the clock, the pipeline alone; tests/kill kills single steps, and all that they started, at calls."""
    universe, chance = Universe("killed", tmp_path, platform.state).prepare(ROWS), random.Random(1)
    ends = [kill_in(universe, step, chance.uniform(0.5, 1.5) * DELAYS[step]) for step in STEPS]
    assert ends.count(-signal.SIGKILL) >= len(STEPS) - 1, "they were over before they could be killed"
    universe.states()
    assert universe.world() == undisturbed
    assert wait_for(lambda: not children(universe), 10)
