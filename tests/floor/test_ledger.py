"""The ledger: append-only, chained, and telling which entry was touched."""

import sqlite3
import threading
from pathlib import Path

import pytest

from common.errors import Locked, MlopsError, Unavailable
from common.ledger import Ledger
from common.lock import shared_lock
from common.logger import hide
from common.settings import Settings


@pytest.fixture
def place(tmp_path: Path) -> Path:
    ledger = Ledger(tmp_path / "ledger.db")
    for number in range(5):
        ledger.append("run", "step_ended", f"step{number % 2}", "done", "Thing", {"key": str(number)})
    ledger.close()
    return tmp_path / "ledger.db"


def tamper(place: Path, statement: str) -> None:
    """As somebody would who has the file: the guards go first."""
    with sqlite3.connect(place) as connection:
        for verb in ("update", "delete"):
            connection.execute(f"DROP TRIGGER IF EXISTS events_no_{verb}")
        connection.execute(statement)
    connection.close()


def test_the_newest_good_end_of_a_step_is_found_and_a_failed_one_is_not(place: Path) -> None:
    ledger = Ledger(place)
    ledger.append("run", "step_ended", "step0", "failed", "", {"key": "9"})
    assert ledger.latest_good("step0").body["key"] == "4"  # type: ignore[union-attr]
    assert [event.body["key"] for event in ledger.results("Thing")] == ["4", "3", "2", "1", "0"]
    assert ledger.latest_good("nobody") is None


@pytest.mark.parametrize(
    ("statement", "first_bad"),
    [
        ('UPDATE events SET body = \'{"key": "x"}\' WHERE seq = 3', 3),
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


def test_a_ledger_that_was_cut_off_is_moved_aside_with_its_side_files(place: Path) -> None:
    place.write_bytes(place.read_bytes()[: place.stat().st_size // 2])
    ledger = Ledger(place)
    assert ledger.latest_good("step0") is None
    ledger.append("run", "run_started")
    assert list(place.parent.glob("ledger.db.broken-*"))


def test_reading_only_moves_and_makes_nothing_even_where_the_file_is_rubbish(tmp_path: Path) -> None:
    place = tmp_path / "ledger.db"
    place.write_bytes(b"rubbish" * 1000)
    with pytest.raises(MlopsError, match="not a database"):
        Ledger(place, read_only=True)
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.db"]


def test_a_result_comes_back_as_it_was_whatever_secret_looks_like_a_part_of_it(place: Path) -> None:
    hide("mlops-password")
    ledger = Ledger(place)
    ledger.append("run", "step_ended", "step9", "done", "Thing", {"result": {"uri": "s3://mlops-password/x"}})
    assert ledger.latest_good("step9").body["result"]["uri"] == "s3://mlops-password/x"  # type: ignore[union-attr]


def test_a_shared_ledger_that_is_down_is_unavailable_and_its_password_is_not_shown() -> None:
    import sqlalchemy as sa

    url = sa.make_url("postgresql+psycopg2://user:CANARY-pw@127.0.0.1:1/ledger")
    for opened in (lambda: Ledger(url), lambda: shared_lock(url.render_as_string(hide_password=False)).__enter__()):
        with pytest.raises(Unavailable) as down:
            opened()
        assert "CANARY" not in str(down.value)


def test_a_shared_ledger_has_one_run_at_a_time_and_keeps_the_chain(settings: Settings) -> None:
    url = settings.postgres.url()
    text = url.render_as_string(hide_password=False)
    with shared_lock(text), pytest.raises(Locked), shared_lock(text):
        pass
    with shared_lock(text):
        ledger = Ledger(url)
        ledger.append("a", "run_started")
        ledger.append("a", "run_ended")
        assert ledger.first_bad_entry() is None
        assert ledger.unfinished_runs() == []
        ledger.close()
