"""Stopped at random moments of steps and pipelines: soon, with the signal's code, and nothing is left behind."""

import random
import signal
import time
from pathlib import Path

import pytest

from common.ledger import Ledger
from tests.conftest import EmbeddedPlatform
from tests.floor.conftest import ToyWorld, wait_for
from tests.uc1.test_killed import children
from tests.uc1.universe import STEPS, Universe

pytestmark = [pytest.mark.deep, pytest.mark.timeout(1200)]
SIGNALS = (signal.SIGTERM, signal.SIGINT)
STOPS_WITHIN_SECONDS = 20  # it promises ten; a busy machine is given more


def code_for_a_shell(returned: int) -> int:
    """Ended by the signal itself, as before a run has begun, is the same for whoever started it."""
    return returned if returned >= 0 else 128 - returned


def says_interrupted(place: Path, run_id: str) -> bool:
    """Of its step or of itself; a run that had nothing left to do may have ended before."""
    events = [event for event in Ledger(place, read_only=True).events() if event.run == run_id]
    return any(event.state == "interrupted" for event in events)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_toy_is_stopped_anywhere(toy: ToyWorld, number: signal.Signals) -> None:
    chance, codes = random.Random(number), set()
    for _ in range(10):
        run = toy.start("--force", TOY_SLEEP="1.5", TOY_CHILD="1")
        time.sleep(chance.uniform(0.1, 2.5))
        run.send_signal(number)
        run.communicate(timeout=STOPS_WITHIN_SECONDS)
        codes.add(code_for_a_shell(run.returncode))
        assert code_for_a_shell(run.returncode) in (128 + number, 0)
        assert not list(toy.state.rglob(".tmp-*"))
        assert not list(toy.path.rglob(".tmp-*"))
    assert 128 + number in codes
    assert toy.run().returncode == 0
    assert Ledger(toy.state / "ledger.db").unfinished_runs() == []
    assert Ledger(toy.state / "ledger.db").first_bad_entry() is None


@pytest.fixture(scope="module")
def uc1(platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> Universe:
    universe = Universe("signals", tmp_path_factory.mktemp("universes"), platform.state).prepare(1500)
    scratch = universe.state / "tmp"
    scratch.mkdir()
    universe.env["TMPDIR"] = str(scratch)
    universe.states()
    return universe


def stopped_in(universe: Universe, step: str, number: signal.Signals, delay: float) -> tuple[int, str]:
    """Run a step, send the signal `delay` seconds after its run has begun; the exit code, and the run."""
    seen = len(run_ids(universe))
    run = universe.start("--force", script=f"{STEPS[step]}.py")
    assert wait_for(lambda: len(run_ids(universe)) > seen or run.poll() is not None, 60)
    time.sleep(delay)
    run.send_signal(number)
    return code_for_a_shell(run.wait(STOPS_WITHIN_SECONDS)), run_ids(universe)[-1]


def left_behind(universe: Universe) -> list[str]:
    """Temporary files of ours, and whatever libraries made where temporary files belong."""
    ours = [str(path) for path in universe.state.rglob(".tmp-*")]
    return ours + [str(path) for path in (universe.state / "tmp").iterdir()]


@pytest.mark.parametrize("step", STEPS)
def test_every_step_of_uc1_is_stopped_at_a_random_moment_and_gone_on_with(uc1: Universe, step: str) -> None:
    before, chance = uc1.world(), random.Random(step)
    for number in SIGNALS:
        code, run = stopped_in(uc1, step, number, chance.uniform(0, 2))
        assert code in (128 + number, 0), (uc1.state / "output.txt").read_text()[-2000:]
        assert wait_for(lambda: not children(uc1), 10)
        assert left_behind(uc1) == []
        assert code == 0 or says_interrupted(uc1.state / "ledger.db", run) or is_unfinished(uc1, run)
    assert set(uc1.states().values()) <= {"unchanged", "done"}
    assert uc1.world() == before
    assert not is_unfinished(uc1, run_ids(uc1)[-2])


def run_ids(universe: Universe) -> list[str]:
    place = universe.state / "ledger.db"
    events = Ledger(place, read_only=True).events() if place.exists() else iter(())
    return [event.run for event in events if event.kind == "run_started"]


def is_unfinished(universe: Universe, run_id: str) -> bool:
    """Stopped between two steps: the next run says of it that it was interrupted."""
    return run_id in Ledger(universe.state / "ledger.db", read_only=True).unfinished_runs()
