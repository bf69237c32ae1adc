"""A run that was killed while it sent moved customers: what it sent is nobody's window, and all are sent anew, once."""

from typing import Any

import pytest
import requests

from tests.conftest import EmbeddedPlatform
from tests.floor.conftest import wait_for
from tests.uc3.drifting_world import DriftingWorld
from uc3_drift_retraining import examine, moved_customers, sources, windows

pytestmark = pytest.mark.deep
SENT = 350  # of 800, and more than make a window


@pytest.fixture(scope="module")
def world(platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> DriftingWorld:
    """A world whose log and note are those of two runs: one killed behind 350 customers, one before its first."""
    world = DriftingWorld("sending", tmp_path_factory.mktemp("uc3"), platform.state).seed()
    asked = moved_customers.rows(world.tools, champion(world))[:SENT]
    for start in range(0, SENT, 50):
        requests.post(world.url(), json={"instances": asked[start : start + 50]}, timeout=10).raise_for_status()
    assert wait_for(lambda: in_log(world) == SENT, 30)
    noted(world, begun="", after=sources.prediction_log(world.tools).since("")[-1], window="")
    return world


def champion(world: DriftingWorld) -> Any:
    found = world.tools.mlflow.champion(world.model_name)
    assert found is not None
    return found


def key(world: DriftingWorld) -> str:
    return f"drift/{world.model_name}/replayed/{world.moved}.json"


def noted(world: DriftingWorld, **said: str) -> None:
    world.tools.minio.put_json(key(world), {"table": world.moved, "rows": 800, "champion": "1", **said})


def in_log(world: DriftingWorld) -> int:
    log = sources.prediction_log(world.tools)
    return sources.answered_rows(log, log.since(""), 1 << 30)


def test_what_it_sent_is_no_window_for_whoever_looks_meanwhile(world: DriftingWorld) -> None:
    until = moved_customers.unfinished(world.tools)
    assert until == ""
    found = examine.of_log(world.tools, champion(world), "", until=until)
    assert (found.window, found.waiting_rows) == ("", 0)
    assert examine.of_log(world.tools, champion(world), "").rows == SENT, "it would have been one"


def test_all_are_sent_anew_and_their_window_has_each_of_them_once(world: DriftingWorld) -> None:
    found = world.ended("--until", "01")["01"]["result"]
    assert 780 <= found["rows"] < 860, "some more are sent until the sender hears that it is enough"
    assert found["replayed"]
    assert world.tools.minio.get_json(key(world))["window"] == found["window"]


def test_killed_before_it_could_note_that_they_were_sent_it_is_noted_and_nobody_is_sent(world: DriftingWorld) -> None:
    before, last = in_log(world), windows.newest(world.tools)
    assert last is not None
    noted(world, begun="", after=last.after, window="")
    again = world.ended("--until", "01", "--force")["01"]["result"]
    assert again["window"] == last.window
    assert world.tools.minio.get_json(key(world))["window"] == last.window
    assert in_log(world) == before


def test_where_they_are_too_few_for_a_window_nobody_is_sent_and_nothing_is_left_out(world: DriftingWorld) -> None:
    before = in_log(world)
    noted(world, begun="", after="0", window="")
    said = world.run("--until", "01", "--force", "--set", "uc3.min_rows=5000", "--set", "uc3.limits.psi=5")
    assert said.returncode == 0, said.stderr
    assert "too few moved customers for a window" in said.stderr
    assert in_log(world) == before
    assert moved_customers.unfinished(world.tools) is None, "or the log would be left out for ever"
