"""Sends the ledger's lineage to the server while a run goes on, and never makes the run wait for it.

A thread sends what is due whenever the ledger has grown. The cursor is an event of the ledger itself, so that it is as
durable, and as shared, as what it points into. Events go in their order, one at a time: where an answer is lost, the
server is asked before anything is sent again. What it refuses for good becomes a dead letter; so does what it fails
over for long, while it answers everything else: others wait behind it.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from common.errors import MlopsError
from common.ledger import Event, Ledger
from common.lineage_events import Due, events_of, needs_standing
from common.lineage_letters import KIND, PATIENCE, letter, stuck_since
from common.logger import get_logger
from common.marquez_client import EventFailed, EventRefused, Marquez

if TYPE_CHECKING:
    from common.settings import Settings

log = get_logger(__name__)
TELLING = ("run_started", "step_started", "step_ended", "run_ended")
FLUSH_SECONDS = 2.0
RETRY_SECONDS = 5.0
TRIES_IN_A_ROW = 3
NOTED_EVERY = 100
DELIVERING = threading.Lock()


class Cursor(NamedTuple):
    """The last event that is dealt with."""

    seq: int = 0
    number: int = 0


@dataclass(frozen=True)
class Delivered:
    """One pass: what was sent, how many were there already or refused, and what ended it early."""

    sent: tuple[Due, ...]
    found: int
    dead: int
    problem: str = ""


@contextlib.contextmanager
def relayed(ledger: Ledger, settings: "Settings") -> Iterator[None]:
    """Send what is due as long as this lasts, and for at most FLUSH_SECONDS after it."""
    from common.platform import is_reachable_service

    if not settings.marquez.url or not is_reachable_service(settings, "marquez"):
        yield
        return
    relay = Relay(ledger, Marquez(settings.marquez))
    ledger.listen(relay.wake)
    relay.start()
    try:
        yield
    finally:
        relay.stop(FLUSH_SECONDS)
        ledger.listen(None)


class Relay:
    """A thread between the ledger and the server."""

    def __init__(self, ledger: Ledger, client: Marquez) -> None:
        self._ledger, self._client = ledger, client
        self._grown, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="lineage", daemon=True)
        self._said = ""

    def start(self) -> None:
        """Begin with what earlier runs left."""
        self._grown.set()
        self._thread.start()

    def wake(self) -> None:
        """The ledger has grown."""
        self._grown.set()

    def stop(self, seconds: float) -> None:
        """Send the rest for so long; what is left waits for the next run."""
        self._over.set()
        self._grown.set()
        self._thread.join(seconds)
        if self._thread.is_alive() or self._said:
            log.info("some lineage is not sent yet; the next run, or UC4, sends it", cause=self._said or "it is slow")

    def _run(self) -> None:
        while True:
            self._grown.wait(RETRY_SECONDS if self._said else None)
            self._grown.clear()
            over = self._over.is_set()
            self._pass()
            if over or (self._over.is_set() and self._said):
                return

    def _pass(self) -> None:
        try:
            delivered = deliver(self._ledger, self._client)
        except Exception as error:  # a listener is isolated: whatever happens here, the run goes on
            delivered = Delivered((), 0, 0, f"{type(error).__name__}: {error}")
        if delivered.problem and not self._said:
            log.warning("lineage waits; the run goes on without it", cause=delivered.problem)
        self._said = delivered.problem


def deliver(ledger: Ledger, client: Marquez) -> Delivered:
    """Send everything that is due, in order, until the server fails several times in a row."""
    with DELIVERING:
        return _Pass(ledger, client).run()


class _Pass:
    """One way through what is due. `_unsure`: the next event may be stored already, as its answer may be lost."""

    def __init__(self, ledger: Ledger, client: Marquez) -> None:
        self._ledger, self._client = ledger, client
        self._sent: list[Due] = []
        self._found = self._dead = self._since_note = 0
        self._unsure = True
        self._cursor = cursor_of(ledger)

    def run(self) -> Delivered:
        problem = ""
        for due in due_after(self._ledger, self._cursor):
            problem = self._insist(due)
            if problem:
                break
            self._cursor = Cursor(due.seq, due.number)
            self._since_note += 1
            if self._since_note >= NOTED_EVERY:
                self._note("sent")
        if self._since_note:
            self._note("sent")
        return Delivered(tuple(self._sent), self._found, self._dead, problem)

    def _insist(self, due: Due) -> str:
        """Deal with one event; returns what is wrong where the server failed too often."""
        for attempt in range(TRIES_IN_A_ROW):
            try:
                self._deal_with(due)
                return ""
            except MlopsError as error:
                self._unsure = True
                failed = error
                time.sleep(0.01 * attempt)
        return "" if isinstance(failed, EventFailed) and self._is_given_up(due, failed) else failed.message

    def _is_given_up(self, due: Due, failed: EventFailed) -> bool:
        """Set an event aside that a server fails over for long, though it answers otherwise."""
        try:
            self._client.ping()
        except MlopsError:
            return False
        since = stuck_since(self._ledger, due)
        if since is None:
            self._note("stuck", {"stuck": [due.seq, due.number]})
        if since is None or datetime.now(UTC) - since < PATIENCE:
            return False
        self._set_aside(due, failed)
        return True

    def _deal_with(self, due: Due) -> None:
        if self._unsure and self._client.has(due.event):
            self._found += 1
            return
        self._unsure = False
        try:
            self._client.send(due.event)
            self._sent.append(due)
        except EventRefused as refusal:
            self._set_aside(due, refusal)

    def _set_aside(self, due: Due, why: EventRefused | EventFailed) -> None:
        self._dead += 1
        self._cursor = Cursor(due.seq, due.number)
        self._note("dead", letter(due, why))
        log.warning("a lineage event was refused and is set aside", job=due.job, cause=why.said)

    def _note(self, state: str, more: dict[str, object] | None = None) -> None:
        self._since_note = 0
        self._ledger.append("lineage", KIND, state=state, body={"cursor": list(self._cursor), **(more or {})})


def cursor_of(ledger: Ledger) -> Cursor:
    """Where the ledger says that sending has come to."""
    newest = ledger.latest(KIND)
    return Cursor(*newest.body["cursor"]) if newest else Cursor()


def due_after(ledger: Ledger, cursor: Cursor) -> Iterator[Due]:
    """Everything after a cursor, run after run as they began, read only as far as it is asked for."""
    for run in ledger.runs_after(cursor.seq - 1, TELLING):
        yield from (due for due in due_of(ledger, run) if (due.seq, due.number) > cursor)


def due_of(ledger: Ledger, run: str) -> list[Due]:
    """Everything that one run of the ledger says."""
    events = list(ledger.events(run=run))
    if not events:
        return []
    standing = {step: last.body for step in needs_standing(events) if (last := _stood(ledger, step, events[0]))}
    return events_of(events, standing)


def _stood(ledger: Ledger, step: str, start: Event) -> Event | None:
    """The last end of a step that made something, before this run."""
    return ledger.latest_done(step, before=start.seq)
