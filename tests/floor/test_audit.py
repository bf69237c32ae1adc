"""The audit trail: the database refuses changes, the chain shows them, and anchors show what a chain cannot."""

import json
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from common import anchors
from common.ledger import Ledger
from common.minio_client import ObjectStore
from common.settings import Settings
from tests.conftest import RunPython
from tests.floor.conftest import ToyWorld
from tests.floor.test_ledger import tamper


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def grown(place: Path, entries: int) -> Ledger:
    ledger = Ledger(place)
    for number in range(entries):
        ledger.append("run", "decision", body={"number": number})
    return ledger


@pytest.mark.parametrize("statement", ["UPDATE events SET state = 'done'", "DELETE FROM events WHERE seq = 5"])
def test_the_database_itself_refuses_to_change_what_was_written(place: Path, statement: str) -> None:
    grown(place, 5).close()
    connection = sqlite3.connect(place)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    connection.close()
    assert Ledger(place).tail()[0] == 5


def test_a_shared_ledgers_server_refuses_it_too(settings: Settings) -> None:
    engine = sa.create_engine(settings.postgres.url(), connect_args={"connect_timeout": 5})
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS audited")
    ledger = Ledger(settings.postgres.url().update_query_dict({"options": "-csearch_path=audited"}))
    ledger.append("run", "decision")
    for statement in ("UPDATE audited.events SET state = ''", "DELETE FROM audited.events", "TRUNCATE audited.events"):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as connection:
            connection.exec_driver_sql(statement)
    ledger.close()
    engine.dispose()


def test_an_end_that_was_cut_off_is_found_by_the_anchor_and_by_nothing_else(place: Path, tmp_path: Path) -> None:
    ledger, beside = grown(place, 8), tmp_path / "anchors"
    anchors.drop(ledger, beside)
    ledger.close()
    tamper(place, "DELETE FROM events WHERE seq > 5")
    cut = Ledger(place)
    assert cut.first_bad_entry() is None, "a chain without its end is a chain"
    finding = anchors.verify(cut, anchors.read(beside))
    assert finding.entry == 6
    assert finding.sentence.startswith("Entry 6 is missing: on ")


def test_a_ledger_that_was_written_anew_is_found_by_its_anchors(place: Path, tmp_path: Path) -> None:
    ledger, beside = grown(place, 3), tmp_path / "anchors"
    anchors.drop(ledger, beside)
    anchors.drop(grown(place, 3), beside)
    ledger.close()
    other = grown(tmp_path / "other.db", 6)
    finding = anchors.verify(other, anchors.read(beside))
    assert (finding.entry, "was written anew" in finding.sentence) == (1, True)


def test_entries_rewritten_behind_an_anchor_are_named_with_what_still_holds(place: Path, tmp_path: Path) -> None:
    ledger, beside = grown(place, 3), tmp_path / "anchors"
    anchors.drop(ledger, beside)
    ledger = grown(place, 3)
    anchors.drop(ledger, beside)
    tamper(place, "DELETE FROM events WHERE seq > 3")
    rewritten = grown(place, 4)
    assert rewritten.first_bad_entry() is None
    finding = anchors.verify(rewritten, anchors.read(beside))
    assert finding.entry == 6
    assert "What follows entry 3 was written anew" in finding.sentence


def test_a_line_that_a_kill_cut_off_is_no_anchor_and_hides_none(place: Path, tmp_path: Path) -> None:
    ledger, beside = grown(place, 2), tmp_path / "anchors"
    anchors.drop(ledger, beside)
    with beside.open("a") as file:
        file.write('{"first": "ab')
    assert [each.seq for each in anchors.read(beside)] == [2]
    assert anchors.verify(ledger, anchors.read(beside)).entry is None


def test_anchoring_again_without_a_new_entry_writes_nothing(place: Path, tmp_path: Path) -> None:
    ledger, beside = grown(place, 2), tmp_path / "anchors"
    assert anchors.drop(ledger, beside) is not None
    assert anchors.drop(ledger, beside) is None
    assert len(anchors.read(beside)) == 1


def test_the_object_store_remembers_when_the_file_forgets(place: Path, tmp_path: Path, settings: Settings) -> None:
    store = ObjectStore(settings.minio)
    ledger = grown(place, 4)
    anchor = anchors.drop(ledger, tmp_path / "anchors")
    assert anchor is not None
    anchors.publish(anchor, store)
    ledger.close()
    tamper(place, "DELETE FROM events WHERE seq > 2")
    cut = Ledger(place)
    assert anchors.verify(cut, anchors.published(cut.hashes([1])[1], store)).entry == 3


def test_every_run_leaves_an_anchor_and_verify_names_the_first_entry_that_is_gone(
    toy: ToyWorld, run_python: RunPython
) -> None:
    assert toy.run().returncode == 0
    ledger = toy.state / "ledger.db"
    (line,) = (toy.state / "ledger.db.anchors").read_text().splitlines()
    newest = json.loads(line)["seq"]
    environment = {"MLOPS_STATE_DIR": str(toy.state)}
    whole = run_python(["-m", "common", "audit", "verify"], **environment)
    assert (whole.returncode, whole.stdout) == (
        0,
        f"The audit trail is whole: {newest} entries. 1 anchor agrees, the newest at entry {newest}.\n",
    )
    tamper(ledger, f"DELETE FROM events WHERE seq = {newest}")
    cut = run_python(["-m", "common", "audit", "verify"], **environment)
    assert cut.returncode == 1
    assert cut.stdout.startswith(f"Entry {newest} is missing")
    ledger.unlink()
    gone = run_python(["-m", "common", "audit", "verify"], **environment)
    assert (gone.returncode, gone.stdout) == (1, "The ledger is gone, and its anchors are not.\n")
