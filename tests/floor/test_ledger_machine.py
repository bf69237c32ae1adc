"""The ledger under any sequence of events: it remembers what was appended, in order, and any touch is found."""

import os
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from common.keys import digest_of
from common.ledger import GOOD, Ledger

RUNS, STEPS = st.sampled_from(["r1", "r2", "r3"]), st.sampled_from(["a", "b"])
STATES = st.sampled_from([*GOOD, "failed"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3), max_leaves=6,
)  # fmt: skip


class LedgerMachine(RuleBasedStateMachine):
    """A ledger beside a list that says what it must hold; processes come and go between two events."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.place = Path(self.directory.name) / "ledger.db"
        self.ledger = Ledger(self.place)
        self.model: list[tuple[str, str, str, str, Any]] = []

    def _append(self, run: str, kind: str, step: str = "", state: str = "", body: Any = None) -> None:
        self.ledger.append(run, kind, step, state, "Thing" if kind == "step_ended" else "", body)
        self.model.append((run, kind, step, state, body or {}))

    @rule(run=RUNS)
    def start(self, run: str) -> None:
        self._append(run, "run_started")

    @rule(run=RUNS)
    def end(self, run: str) -> None:
        self._append(run, "run_ended", state="done")

    @rule(run=RUNS, step=STEPS, state=STATES, body=st.dictionaries(st.text(max_size=6), JSON, max_size=3))
    def end_step(self, run: str, step: str, state: str, body: dict[str, Any]) -> None:
        self._append(run, "step_ended", step, state, body)

    @rule()
    def another_process_goes_on(self) -> None:
        self.ledger.close()
        self.ledger = Ledger(self.place)

    @rule()
    def the_process_is_killed_in_the_middle_of_a_write(self) -> None:
        connection = sqlite3.connect(self.place, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO events VALUES (999, '', '', '', '', '', '', '{}', '', '')")
        connection.close()

    @invariant()
    def it_holds_what_was_appended_in_order(self) -> None:
        seen = [(each.run, each.kind, each.step, each.state, each.body) for each in self.ledger.events()]
        assert seen == self.model
        assert self.ledger.first_bad_entry() is None

    @invariant()
    def the_latest_good_end_of_each_step_is_found(self) -> None:
        for step in ("a", "b"):
            good = [each for each in self.model if each[1:3] == ("step_ended", step) and each[3] in GOOD]
            found = self.ledger.latest_good(step)
            assert (found.body if found else None) == (good[-1][4] if good else None)

    @invariant()
    def runs_without_an_end_are_unfinished(self) -> None:
        ended = {each[0] for each in self.model if each[1] == "run_ended"}
        started = [each[0] for each in self.model if each[1] == "run_started"]
        assert self.ledger.unfinished_runs() == [run for run in started if run not in ended]

    @precondition(lambda self: len(self.model) > 0)
    @rule(data=st.data())
    def any_touch_is_found_at_its_place(self, data: st.DataObject) -> None:
        """On a copy: one column of one entry is changed, or an entry is taken out of the middle."""
        number = data.draw(st.integers(1, len(self.model)))
        column = data.draw(
            st.sampled_from(["at", "run", "kind", "step", "state", "result_type", "body", "prev", "hash"])
        )
        copy = self.place.with_name("copy.db")
        copy.unlink(missing_ok=True)
        with sqlite3.connect(self.place) as source, sqlite3.connect(copy) as target:
            source.backup(target)
            target.execute("DROP TRIGGER events_no_update")
            target.execute("DROP TRIGGER events_no_delete")
            target.execute(f"UPDATE events SET {column} = {column} || ' ' WHERE seq = ?", (number,))
        source.close()
        target.close()
        note(f"{column} of {number}")
        ledger = Ledger(copy, read_only=True)
        assert ledger.first_bad_entry() == number
        ledger.close()

    def teardown(self) -> None:
        self.ledger.close()
        self.directory.cleanup()


LedgerMachine.TestCase.settings = examples(max_examples=12, stateful_step_count=12, deadline=None)
TestLedger = LedgerMachine.TestCase


@pytest.mark.deep
@pytest.mark.timeout(900)
def test_the_ledger_under_a_thousand_sequences() -> None:
    run_state_machine_as_test(
        LedgerMachine, settings=examples(max_examples=1000, stateful_step_count=10, deadline=None)
    )


@examples(max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "100")), deadline=None)
@given(st.dictionaries(st.text(max_size=6), JSON, max_size=5), st.randoms())
def test_a_key_depends_on_the_values_and_not_on_their_order(values: dict[str, Any], random: Any) -> None:
    shuffled = list(values.items())
    random.shuffle(shuffled)
    assert digest_of(dict(shuffled)) == digest_of(values)
    assert digest_of({**values, "one more": 1}) != digest_of({**values, "one more": 2})
    assert digest_of(values) != digest_of([values])
