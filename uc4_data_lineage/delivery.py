"""Due against stored: what the ledger says should be on the server, and what the server says is there."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from common.lineage_events import Due
from common.lineage_letters import REVIVED, letters
from common.lineage_relay import TELLING, Cursor, due_after, due_of
from common.marquez_client import EventFailed, EventRefused

if TYPE_CHECKING:
    from common.ledger import Event, Ledger
    from common.marquez_client import Marquez


@dataclass(frozen=True)
class Checked:
    """How due and stored compare. `missing` are in the order in which they must be sent."""

    due: int
    missing: tuple[Due, ...]
    doubled: int


def due_since(ledger: "Ledger", since: datetime) -> list[Due]:
    """Everything that is due from then on, but for what was refused."""
    refused = {(letter.body["run_id"], letter.body["type"]) for letter in letters(ledger)}
    runs = ledger.runs_after(0, TELLING, since.isoformat(timespec="microseconds"))
    whole = [due for run in runs for due in due_of(ledger, run)]
    return [due for due in whole if _at(due) >= since and (due.run_id, due.kind) not in refused]


def revived(client: "Marquez", ledger: "Ledger", run: str) -> list[Due]:
    """Send the dead letters again. Returns those that the server takes now; the others stay dead."""
    taken = []
    for letter in letters(ledger):
        due = _event_of(ledger, letter)
        try:
            if not client.has(due.event):
                client.send(due.event)
        except (EventRefused, EventFailed):
            continue
        ledger.append(run, REVIVED, body={"run_id": due.run_id, "type": due.kind})
        taken.append(due)
    return taken


def _event_of(ledger: "Ledger", letter: "Event") -> Due:
    """The event that a letter is about: the last that its cursor had passed."""
    seq, number = letter.body["cursor"]
    return next(due_after(ledger, Cursor(seq, number - 1)))


def check(client: "Marquez", due: Sequence[Due]) -> Checked:
    """Ask the server for the events of that time, and compare."""
    if not due:
        return Checked(0, (), 0)
    first, last = min(_at(each) for each in due), max(_at(each) for each in due)
    stored = Counter(client.stored(first, last + timedelta(milliseconds=1)))
    missing = tuple(each for each in due if (each.run_id, each.kind) not in stored)
    return Checked(len(due), missing, _doubled(stored, due))


def _doubled(stored: "Counter[tuple[str, str]]", due: Iterable[Due]) -> int:
    return sum(stored[each.run_id, each.kind] > 1 for each in due)


def _at(due: Due) -> datetime:
    return datetime.fromisoformat(due.event["eventTime"])
