"""The clock of the machine is wrong, jumps, or changes to another season's time while a run goes on."""

import itertools
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.ledger import Event, Ledger
from common.paths import ROOT
from tests.floor.conftest import ToyWorld

pytestmark = pytest.mark.timeout(600)
deep = pytest.mark.deep
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


@pytest.mark.parametrize("shift", [-DAY, pytest.param(DAY, marks=deep), pytest.param(-40 * 365 * DAY, marks=deep)])
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


@deep
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


@deep
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
