"""The relay: nothing lost, nothing doubled, nobody waits for it."""

import json
import os
import uuid
from collections import Counter

import pytest
from pydantic import SecretStr

from common.ledger import Ledger
from common.lineage_relay import Cursor, Relay, cursor_of, deliver, due_after
from common.marquez_client import Marquez
from common.settings import Marquez as Section
from tests.floor.conftest import ToyWorld, wait_for
from tests.uc4.faulty import always, at_random, faulty
from tests.uc4.story import Moved, Story, moved
from tests.uc4.test_events import CUSTOMERS, SNAPSHOT


def client(url: str, timeout: float = 30) -> Marquez:
    """A client as steps have it, patient, as a busy machine may be slow."""
    return Marquez(Section(url=url, timeout_seconds=timeout, embedded=True, token=SecretStr("")))


def stored(url: str, story: Story) -> list[tuple[str, str]]:
    """What the server has of this story, in the order of its arrival."""
    events: list[dict[str, object]] = []
    while True:
        page = client(url).get("/events/lineage", limit="500", offset=str(len(events)), sortDirection="asc")["events"]
        events += page
        if len(page) < 500:
            break
    return [(e["run"]["runId"], e["eventType"]) for e in events if e["job"]["namespace"] == story.namespace]  # type: ignore[index,misc]


def tell(story: Story, runs: int, steps: int = 3, result: Moved | None = None) -> int:
    """Tell of some runs; returns how many events are due."""
    result = result or moved(CUSTOMERS, SNAPSHOT)
    for _ in range(runs):
        story.begin("uc1")
        for number in range(steps):
            story.step(f"uc1_{number + 1:02}_do", result=result)
        story.end()
    return runs * (2 * steps + 2)


def insist(story: Story, url: str) -> Counter[str]:
    """Deliver, pass after pass, as the relay's thread does; returns how the passes ended."""
    ended: Counter[str] = Counter()
    while True:
        done = deliver(story.ledger, client(url))
        ended["problem" if done.problem else "good"] += 1
        if not done.problem:
            return ended


def exactly_once_in_order(story: Story, url: str, due: int) -> None:
    found = stored(url, story)
    expected = [(each.run_id, each.kind) for each in due_after(story.ledger, Cursor())]
    assert len(expected) == due
    assert Counter(found) == Counter(expected)
    assert max(Counter(found).values()) == 1


def test_everything_due_is_stored_once_and_in_order_and_the_cursor_stands_at_its_end(story: Story, server: str) -> None:
    due = tell(story, 4)
    done = deliver(story.ledger, client(server))
    assert (len(done.sent), done.problem) == (due, "")
    assert stored(server, story) == [(each.run_id, each.kind) for each in done.sent]
    again = deliver(story.ledger, client(server))
    assert (again.sent, again.found) == ((), 0)
    assert story.ledger.first_bad_entry() is None


@pytest.mark.deep
def test_half_of_all_requests_fail_and_nothing_is_lost_or_doubled(story: Story, server: str) -> None:
    due = tell(story, 25)
    with faulty(server, at_random(0.5)) as (url, faults):
        passes = insist(story, url)
    assert passes["problem"] > 3
    assert all(faults[each] > 5 for each in ("500", "500 after", "cut after", "refuse", "garbage"))
    exactly_once_in_order(story, server, due)


@pytest.mark.deep
@pytest.mark.timeout(900)
def test_thousands_of_events_at_fifty_percent_faults_are_stored_once_each(
    story: Story, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = tell(story, 75, steps=9, result=Moved())
    assert due == 1_500
    monkeypatch.setattr("common.lineage_relay.TRIES_IN_A_ROW", 8)  # longer passes: each reads its run again
    with faulty(server, at_random(0.5)) as (url, _):
        insist(story, url)
    exactly_once_in_order(story, server, due)


def test_a_lost_cursor_makes_no_event_twice(story: Story, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    due = tell(story, 2)
    deliver(story.ledger, client(server))
    with monkeypatch.context() as patch:
        patch.setattr("common.lineage_relay.cursor_of", lambda ledger: Cursor())
        again = deliver(story.ledger, client(server))
    assert (again.sent, again.found) == ((), due)
    exactly_once_in_order(story, server, due)


@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_a_wrong_address_or_token_is_no_dead_letter(story: Story, status: int) -> None:
    tell(story, 1)
    with faulty("http://127.0.0.1:9", always("500")) as (url, _):

        class Elsewhere(Marquez):
            def has(self, event: dict[str, object]) -> bool:
                return False

            def _request(self, verb: str, path: str, **more: object) -> object:  # type: ignore[override]
                import requests

                answer = requests.Response()
                answer.status_code = status
                return answer

        done = deliver(story.ledger, Elsewhere(client(url).settings))
    assert (done.sent, done.dead) == ((), 0)
    assert str(status) in done.problem
    assert cursor_of(story.ledger) == (0, 0)


def test_the_relay_sends_while_the_run_goes_on(story: Story, server: str) -> None:
    relay = Relay(story.ledger, client(server))
    story.ledger.listen(relay.wake)
    relay.start()
    story.begin("uc1").step("uc1_01_do")
    assert wait_for(lambda: len(stored(server, story)) == 3)
    story.end()
    relay.stop(10)
    assert len(stored(server, story)) == 4


@pytest.mark.parametrize("fault", ["refuse", "500", "garbage", "slow"])
def test_a_run_is_neither_failed_nor_held_up_by_a_lineage_server_that_is(
    toy: ToyWorld, server: str, fault: str
) -> None:
    with faulty(server, always(fault)) as (url, _):
        run = toy.run("--json", MLOPS_MARQUEZ__EMBEDDED="false", MLOPS_MARQUEZ__URL=url)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["seconds"] < 15
    assert "lineage" in run.stderr


def test_a_run_without_any_lineage_server_says_nothing_of_it_and_the_next_run_sends_it(
    toy: ToyWorld, server: str
) -> None:
    first = toy.run("--json")
    assert "lineage" not in first.stderr
    namespace = f"toy-{uuid.uuid4().hex[:8]}"
    there = {"MLOPS_MARQUEZ__EMBEDDED": "false", "MLOPS_MARQUEZ__URL": server, "MLOPS_MARQUEZ__NAMESPACE": namespace}
    second = toy.run("--json", **there)
    assert second.returncode == 0
    ledger = Ledger(toy.state / "ledger.db", read_only=True)
    for _ in range(5):  # a run waits two seconds at its end, which may be little on a busy machine
        if not list(due_after(ledger, cursor_of(ledger))):
            break
        toy.run(**there)
    assert {event.state for event in ledger.of_kind("lineage")} == {"sent"}
    assert list(due_after(ledger, cursor_of(ledger))) == []
    runs = {json.loads(each.stdout)["run"] for each in (first, second)}
    sent = client(server).get("/events/lineage", limit="500")["events"]
    tags = {tag["value"] for event in sent for tag in event["run"]["facets"].get("tags", {}).get("tags", ())}
    assert runs <= tags
    assert os.environ.get("MLOPS_MARQUEZ__URL") is None
