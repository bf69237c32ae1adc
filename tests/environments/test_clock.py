"""The clock of the machine is wrong, jumps, or changes to another season's time while a run goes on."""

import itertools
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from common.ledger import Event, Ledger
from common.paths import ROOT
from tests.conftest import EmbeddedPlatform
from tests.floor.conftest import ToyWorld
from tests.uc1.universe import Universe

pytestmark = pytest.mark.timeout(600)
HERE = Path(__file__).parent / "wrong_clock"
DAY = 86_400.0


def wrong(before: float, after: float | None = None, in_seconds: float = 0) -> dict[str, str]:
    """The variables of a clock that is off by `before` seconds, and by `after` from `in_seconds` on."""
    later = before if after is None else after
    return {
        "PYTHONPATH": os.pathsep.join([str(HERE), str(ROOT)]),
        "WRONG_CLOCK": f"{before} {later} {time.monotonic() + in_seconds}",
    }


def at(moment: str) -> float:
    return datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp() - time.time()


def events(toy: ToyWorld) -> list[Event]:
    return list(Ledger(toy.state / "ledger.db", read_only=True).events())


def ended(toy: ToyWorld) -> list[str]:
    return [event.state for event in events(toy) if event.kind == "step_ended"]


@pytest.mark.parametrize("shift", [-DAY, DAY, -40 * 365 * DAY])
def test_a_clock_that_jumped_between_two_runs_changes_no_key_and_no_order(toy: ToyWorld, shift: float) -> None:
    assert toy.run().returncode == 0
    again = toy.run(**wrong(shift))
    assert again.returncode == 0, again.stderr
    assert ended(toy)[-3:] == ["unchanged"] * 3
    assert Ledger(toy.state / "ledger.db").first_bad_entry() is None
    numbers = [event.seq for event in events(toy)]
    assert numbers == sorted(numbers)
    moved = datetime.fromisoformat(events(toy)[-1].at) - datetime.fromisoformat(events(toy)[0].at)
    assert abs(moved.total_seconds() - shift) < 3600, "the clock was not wrong at all"


@pytest.mark.parametrize("shift", [-DAY, DAY])
def test_a_clock_that_jumps_during_a_run_lets_no_deadline_pass_and_no_step_last_a_day(
    toy: ToyWorld, shift: float
) -> None:
    # The jump comes while step 2 sleeps: starting takes less than that on any machine that can run this at all.
    with (toy.state.parent / "out").open("w") as out:
        run = toy.start("--json", TOY_SLEEP="6", **wrong(0, shift, in_seconds=4))
        said, errors = run.communicate(timeout=60)
        out.write(errors)
    assert run.returncode == 0, errors
    first, last = events(toy)[0], events(toy)[-1]
    jumped = datetime.fromisoformat(last.at) - datetime.fromisoformat(first.at)
    assert abs(jumped.total_seconds() - shift) < 3600, "it did not jump"
    assert all(0 <= step["seconds"] < 60 for step in json.loads(said)["steps"])
    assert 6 <= json.loads(said)["seconds"] < 60
    assert toy.run().returncode == 0
    assert ended(toy)[-3:] == ["unchanged"] * 3


NIGHTS = [
    ("America/St_Johns", "2026-11-01T04:29:57"),  # from summer's time to winter's, half an hour off the hours
    ("America/St_Johns", "2027-03-14T05:29:57"),
    ("Australia/Lord_Howe", "2026-10-03T15:29:57"),  # by half an hour
    ("Pacific/Apia", "2011-12-30T09:59:57"),  # the day after the 29th was the 31st
]


@pytest.mark.parametrize(("zone", "moment"), NIGHTS)
def test_a_run_in_the_night_when_clocks_are_put_forward_or_back_is_like_any_other(
    toy: ToyWorld, zone: str, moment: str
) -> None:
    night = toy.run("--json", TZ=zone, TOY_SLEEP="4", **wrong(at(moment)))
    assert night.returncode == 0, night.stderr
    assert 4 <= json.loads(night.stdout)["seconds"] < 60
    times = [datetime.fromisoformat(event.at) for event in events(toy)]
    assert all(0 <= (after - before).total_seconds() < 60 for before, after in itertools.pairwise(times))
    assert all(time.utcoffset() == UTC.utcoffset(None) for time in times)
    keys = [event.body["static_key"] for event in events(toy) if event.kind == "step_ended"]
    assert toy.run(TZ="UTC").returncode == 0
    assert [e.body["static_key"] for e in events(toy) if e.kind == "step_ended"][3:] == keys
    assert ended(toy)[-3:] == ["unchanged"] * 3


@pytest.fixture(scope="module")
def uc1(platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> Universe:
    universe = Universe("clock", tmp_path_factory.mktemp("universes"), platform.state).prepare(1500)
    universe.states()
    return universe


def unchanged(universe: Universe, before: dict[str, Any], **env: str) -> None:
    assert set(universe.states(**env).values()) == {"unchanged"}
    assert universe.world() == before


@pytest.mark.deep
def test_minutes_and_zones_make_no_difference_to_the_real_thing(uc1: Universe) -> None:
    before = uc1.world()
    unchanged(uc1, before, TZ="America/St_Johns")
    unchanged(uc1, before, TZ="Pacific/Apia", **wrong(-600))
    unchanged(uc1, before, TZ="Asia/Kathmandu", **wrong(0, 600, in_seconds=4))


@pytest.mark.deep
def test_made_anew_in_another_zone_with_a_clock_that_jumps_it_is_the_same_world(uc1: Universe) -> None:
    before = uc1.world()
    assert set(uc1.states("--force", TZ="Pacific/Apia", **wrong(300, -300, in_seconds=8)).values()) <= {
        "done",
        "unchanged",
    }
    assert uc1.world() == before


@pytest.mark.deep
@pytest.mark.parametrize("shift", [DAY, -DAY])
def test_a_store_that_refuses_the_time_of_day_is_told_in_a_sentence_that_names_the_clock(
    uc1: Universe, shift: float
) -> None:
    before = uc1.world()
    done = uc1.run("--force", **wrong(shift))
    assert done.returncode == 77, done.stderr[-2000:]
    assert "clock" in json.loads(done.stderr.splitlines()[-1])["cause"]
    assert uc1.world() == before
