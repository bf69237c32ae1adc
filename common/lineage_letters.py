"""Lineage events that were set aside: refused by the server for good, or failed by it for too long.

A dead letter is an entry of the ledger, with the place of its event and what the server said of it. It counts as dead
until it is revived: sent again, and taken.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from common.marquez_client import EventFailed, EventRefused

if TYPE_CHECKING:
    from common.ledger import Event, Ledger
    from common.lineage_events import Due

KIND = "lineage"
REVIVED = "lineage_revived"
PATIENCE = timedelta(minutes=10)


def letter(due: "Due", refusal: EventRefused | EventFailed) -> dict[str, object]:
    """What is kept of an event that is set aside: which it is, and why."""
    return {"job": due.job, "type": due.kind, "run_id": due.run_id, "status": refusal.status, "said": refusal.said}


def letters(ledger: "Ledger") -> "list[Event]":
    """The dead letters that were not revived, each once, with its newest reason."""
    revived = {(each.body["run_id"], each.body["type"]): each.seq for each in ledger.of_kind(REVIVED)}
    dead = {(e.body["run_id"], e.body["type"]): e for e in ledger.of_kind(KIND) if e.state == "dead"}
    return [each for known, each in dead.items() if each.seq > revived.get(known, 0)]


def stuck_since(ledger: "Ledger", due: "Due") -> datetime | None:
    """Since when the server has failed with this very event, which all others wait for; None where that is new."""
    newest = ledger.latest(KIND)
    if newest is None or newest.state != "stuck" or newest.body["stuck"] != [due.seq, due.number]:
        return None
    return datetime.fromisoformat(newest.at)
