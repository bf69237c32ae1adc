"""Events that a server refuses, or fails over for ever: set aside, so that the others go on, and offered again."""

from datetime import timedelta

import pytest

from common.ledger import Ledger
from common.lineage_letters import letter, letters
from common.lineage_relay import Cursor, cursor_of, deliver, due_after
from common.marquez_client import EventFailed, EventRefused, Marquez, Unavailable
from tests.conftest import EmbeddedPlatform
from tests.uc1.universe import Universe
from tests.uc4.story import Story
from tests.uc4.test_pipeline import steps, uc4
from tests.uc4.test_relay import client, exactly_once_in_order, stored, tell
from uc4_data_lineage.delivery import revived

STEP = "uc4_01_emit_lineage_openlineage.py"


class Failing(Marquez):
    """A client of a server that answers 500 to one event, and to everything where `down`."""

    down = False

    def send(self, event: dict[str, object]) -> None:
        if event["eventType"] == "COMPLETE" and "uc1_02" in str(event["job"]):
            raise EventFailed(self.place, "NullPointerException")
        super().send(event)

    def ping(self) -> str:
        if self.down:
            raise Unavailable("The lineage server answered 500.")
        return super().ping()


def failing(url: str) -> Failing:
    return Failing(client(url).settings)


def states(ledger: Ledger) -> list[str]:
    return [event.state for event in ledger.of_kind("lineage")]


def test_an_event_that_a_server_fails_over_is_waited_for_then_set_aside_then_revived(
    story: Story, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = tell(story, 1)
    for _ in range(3):
        done = deliver(story.ledger, failing(server))
        assert (done.dead, "NullPointerException" in done.problem) == (0, True)
    assert states(story.ledger).count("stuck") == 1, "it is noted once since when others wait"
    monkeypatch.setattr("common.lineage_relay.PATIENCE", timedelta(0))
    done = deliver(story.ledger, failing(server))
    assert (done.dead, done.problem) == (1, "")
    (kept,) = letters(story.ledger)
    assert (kept.body["job"], kept.body["status"]) == ("uc1.uc1_02_do", 500)
    assert revived(failing(server), story.ledger, story.run) == []
    assert len(letters(story.ledger)) == 1
    assert [each.job for each in revived(client(server), story.ledger, story.run)] == ["uc1.uc1_02_do"]
    assert letters(story.ledger) == []
    found = stored(server, story)
    assert len(found) == len(set(found)) == due


def test_a_server_that_fails_over_everything_makes_no_dead_letter(
    story: Story, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = tell(story, 1)
    monkeypatch.setattr("common.lineage_relay.PATIENCE", timedelta(0))
    broken = failing(server)
    broken.down = True
    for _ in range(3):
        before = cursor_of(story.ledger)
        assert "500" in deliver(story.ledger, broken).problem
    assert (cursor_of(story.ledger), letters(story.ledger)) == (before, [])
    deliver(story.ledger, client(server))
    exactly_once_in_order(story, server, due)


def test_an_event_that_is_refused_becomes_a_dead_letter_and_the_others_go_on(story: Story, server: str) -> None:
    due = tell(story, 1)
    refused = []

    class Picky(Marquez):
        def send(self, event: dict[str, object]) -> None:
            if event["eventType"] == "COMPLETE" and "uc1_02" in str(event["job"]):
                event = {**event, "producer": None}
                refused.append(event)
            super().send(event)

    done = deliver(story.ledger, Picky(client(server).settings))
    assert (len(done.sent), done.dead, len(refused)) == (due - 1, 1, 1)
    (kept,) = [event for event in story.ledger.of_kind("lineage") if event.state == "dead"]
    assert (kept.body["job"], kept.body["status"]) == ("uc1.uc1_02_do", 422)
    assert "producer must not be null" in kept.body["said"]
    assert deliver(story.ledger, client(server)).sent == ()


@pytest.fixture(scope="module")
def world(platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> Universe:
    """A universe with one step of lineage, of which the server has once refused an event."""
    made = Universe("letters", tmp_path_factory.mktemp("universes"), platform.state).prepare(500)
    made.states("--until", "01")
    uc4(made, script=STEP)
    ledger = Ledger(made.state / "ledger.db")
    due = list(due_after(ledger, Cursor()))[-1]
    body = {"cursor": [due.seq, due.number], **letter(due, EventRefused(422, "job.name must be short"))}
    ledger.append("lineage", "lineage", state="dead", body=body)
    ledger.close()
    return made


def test_uc4_names_what_was_refused_and_offers_it_again_where_asked_to(world: Universe) -> None:
    refused = steps(uc4(world, "--json", script=STEP))["01"]["result"]["dead"]
    assert [(each["status"], each["said"]) for each in refused] == [(422, "job.name must be short")]
    again = steps(uc4(world, "--resend-refused", "--json", script=STEP))["01"]["result"]
    assert (again["dead"], again["sent"]) == ([], 1)
    assert steps(uc4(world, "--json", script=STEP))["01"]["result"]["dead"] == []
