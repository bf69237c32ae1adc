"""Stopped at random moments of steps and pipelines: soon, with the signal's code, and nothing is left behind."""

import random
import signal
import time

import pytest

from common.ledger import Ledger
from tests.floor.conftest import ToyWorld

pytestmark = [pytest.mark.deep, pytest.mark.timeout(1200)]
SIGNALS = (signal.SIGTERM, signal.SIGINT)
STOPS_WITHIN_SECONDS = 20  # it promises ten; a busy machine is given more


def code_for_a_shell(returned: int) -> int:
    """Ended by the signal itself, as before a run has begun, is the same for whoever started it."""
    return returned if returned >= 0 else 128 - returned


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
