"""The ledger: append-only, chained, and telling which entry was touched."""

import sqlite3
import threading
from pathlib import Path

import pytest

from common.ledger import Ledger


@pytest.fixture
def place(tmp_path: Path) -> Path:
    ledger = Ledger(tmp_path / "ledger.db")
    for number in range(5):
        ledger.append("run", "step_ended", f"step{number % 2}", "done", "Thing", {"key": str(number)})
    ledger.close()
    return tmp_path / "ledger.db"


def tamper(place: Path, statement: str) -> None:
    with sqlite3.connect(place) as connection:
        connection.execute(statement)
    connection.close()


def test_the_newest_good_end_of_a_step_is_found_and_a_failed_one_is_not(place: Path) -> None:
    ledger = Ledger(place)
    ledger.append("run", "step_ended", "step0", "failed", "", {"key": "9"})
    assert ledger.latest_good("step0").body["key"] == "4"  # type: ignore[union-attr]
    assert ledger.latest_result("Thing").step == "step0"  # type: ignore[union-attr]
    assert ledger.latest_good("nobody") is None


@pytest.mark.parametrize(
    ("statement", "first_bad"),
    [
        ("UPDATE events SET body = '{\"key\": \"x\"}' WHERE seq = 3", 3),
        ("UPDATE events SET at = '2020' WHERE seq = 1", 1),
        ("DELETE FROM events WHERE seq = 2", 2),
        ("UPDATE events SET seq = CASE seq WHEN 4 THEN 50 ELSE 4 END WHERE seq IN (4, 5)", 4),
    ],
)
def test_the_first_entry_that_was_touched_is_named(place: Path, statement: str, first_bad: int) -> None:
    assert Ledger(place).first_bad_entry() is None
    tamper(place, statement)
    assert Ledger(place).first_bad_entry() == first_bad


def test_writers_at_the_same_time_lose_nothing_and_keep_the_chain(place: Path) -> None:
    def write(name: str) -> None:
        ledger = Ledger(place)
        for _ in range(20):
            ledger.append(name, "decision")
        ledger.close()

    threads = [threading.Thread(target=write, args=(f"run{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger = Ledger(place)
    assert len(list(ledger.events())) == 85
    assert ledger.first_bad_entry() is None


def test_reading_on_from_a_position_gives_only_what_came_after(place: Path) -> None:
    assert [event.seq for event in Ledger(place).events(after=3)] == [4, 5]


def test_a_run_without_an_end_is_unfinished_until_it_is_ended(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.append("a", "run_started")
    assert ledger.unfinished_runs() == ["a"]
    ledger.append("a", "run_ended", state="interrupted")
    assert ledger.unfinished_runs() == []
