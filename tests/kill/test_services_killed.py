"""Killed at every mutating system call of what reaches beyond files: git, object store, registry, and a whole run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from common.ledger import Ledger
from tests.conftest import EmbeddedPlatform
from tests.floor.conftest import TOY, ToyWorld
from tests.kill.durable import violations
from tests.kill.sweep import Sweep
from tests.kill.tracer import Harm, Outcome
from tests.kill.zygote import Job, Zygote

pytestmark = [pytest.mark.deep, pytest.mark.timeout(900)]
POINTS = ("before", "torn")  # the state behind a call is the one in front of the next


@pytest.mark.parametrize("name", ["git, next commit", "ledger, made", "anchors", "lock", "report"])
def test_killed_at_every_call_and_done_again(light: Zygote, tmp_path: Path, name: str) -> None:
    sweep = Sweep(light, name, tmp_path)
    if not name.startswith("git"):  # git syncs files as core.fsync says, and no directories
        assert violations(sweep.calls, str(tmp_path)) == []
    points = sweep.kill_at_every_point(POINTS)
    print(name, points, "points")
    assert points >= 10, "whatever it does takes more calls than that"


@pytest.fixture(scope="module")
def speaking(_traceable: None) -> Iterator[Zygote]:
    """Forks what speaks to services."""
    with Zygote(("tests.kill.effects", "boto3", "mlflow")) as zygote:
        yield zygote


@pytest.mark.parametrize("name", ["object store", "registry"])
def test_killed_at_every_call_to_a_service_and_done_again_it_is_there_once(
    platform: EmbeddedPlatform, speaking: Zygote, tmp_path: Path, name: str
) -> None:
    points = Sweep(speaking, name, tmp_path).kill_at_every_point(("before",))
    print(name, points, "points")
    assert points >= 5, "whatever it does takes more calls than that"


def test_a_whole_run_that_is_killed_at_every_eleventh_call_is_ended_by_the_next(light: Zygote, tmp_path: Path) -> None:
    def run(toy: ToyWorld, harm: Harm | None = None) -> Outcome:
        job = Job(toy.environment(), str(tmp_path / "said.txt"), str(TOY / "run_pipeline.py"), seconds=60)
        return light.run(job, harm)

    whole = run(world(tmp_path / "whole"))
    assert (whole.status, whole.count > 100) == (0, True)
    for at in range(1, whole.count + 1, 11):
        toy = world(tmp_path / str(at))
        assert run(toy, Harm("before", at)).status == -9
        assert run(toy).status == 0, at
        ledger = Ledger(toy.state / "ledger.db")
        assert (ledger.first_bad_entry(), ledger.unfinished_runs()) == (None, []), at
        ledger.close()
        assert (toy.path / "total.txt").read_text() == "6"
        assert not list(toy.state.rglob(".tmp-*")), at


def world(directory: Path) -> ToyWorld:
    directory.mkdir()
    return ToyWorld(directory)
