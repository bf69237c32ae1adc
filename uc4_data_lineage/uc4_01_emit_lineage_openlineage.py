"""UC4 step 1: see to it that the lineage server has everything that happened.

Reads    the ledger of runs; the events that the lineage server has stored
Writes   the OpenLineage events that the server lacks, to the lineage server
Returns  LineageStored, with the events that the server refused for good
Raises   StepFailed (1) where the server takes events and does not have them; Unavailable (69) where it does not answer

Lineage is sent while steps run; this step sends what was left, and asks the server whether due = stored. Always runs.
Run it alone:  python uc4_data_lineage/uc4_01_emit_lineage_openlineage.py [--resend-refused]
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from common.cli import main
from common.errors import StepFailed, Unavailable
from common.flags import Flag
from common.step import step
from common.tools import Tools
from uc4_data_lineage.results import DeadLetter, LineageStored

if TYPE_CHECKING:
    from common.ledger import Ledger
    from common.lineage_events import Due

FLAGS = (
    Flag("--resend-refused", "uc4.resend_refused", "BOOL", "offer the events again that the server refused", "true"),
)


@step(needs=("marquez",), settings=("uc4.verify_days",), deadline_seconds=600, always=True)
def run(tools: Tools) -> LineageStored:
    """Send what is due, compare it with what is stored, and send what was lost."""
    from common.ledger import opened
    from uc4_data_lineage.delivery import check, due_since, revived

    since = datetime.now(UTC) - timedelta(days=tools.settings.uc4.verify_days)
    with opened(tools.settings) as ledger:
        sent = delivered(tools, ledger)
        if tools.settings.uc4.resend_refused:
            sent += revived(tools.marquez, ledger, tools.context.run_id)
        due = due_since(ledger, since)
        seen = check(tools.marquez, due)
        if seen.missing:
            sent += resent(tools, seen.missing)
            seen = check(tools.marquez, due)
        refuse_unless_all_are_there(tools, seen.missing)
        note_mended(tools, ledger, sent)
        return stored(tools, ledger, len(due), sent, seen.doubled, since)


def delivered(tools: Tools, ledger: "Ledger") -> "list[Due]":
    """Everything from the cursor on. Returns what no relay of an earlier run had sent; raises Unavailable."""
    from common.lineage_relay import deliver, due_of

    done = deliver(ledger, tools.marquez)
    if done.problem:
        raise Unavailable(
            f"Lineage could not be sent: {done.problem}", "Look at marquez.url; then run this step again."
        )
    own = {(due.run_id, due.kind) for due in due_of(ledger, tools.context.run_id)}
    return [due for due in done.sent if (due.run_id, due.kind) not in own]


def resent(tools: Tools, missing: "tuple[Due, ...]") -> "list[Due]":
    """Send again what the server took once and has no more."""
    for due in missing:
        tools.marquez.send(due.event)
    return list(missing)


def refuse_unless_all_are_there(tools: Tools, missing: "tuple[Due, ...]") -> None:
    """Raise StepFailed where the server says yes to events and does not have them afterwards."""
    if missing:
        raise StepFailed(
            f"{tools.marquez.place} took {len(missing):,} events and does not have them; the first: {missing[0].job}.",
            "Is it Marquez that answers there? Look at its log.",
        )


def note_mended(tools: Tools, ledger: "Ledger", sent: "list[Due]") -> None:
    """Note that this step had something to do; until it has again, its result stays the same."""
    if sent:
        tools.context.effect("lineage", tools.marquez.place, sent=len(sent))
        ledger.append(tools.context.run_id, "lineage_mended", body={"sent": len(sent)})


def stored(tools: Tools, ledger: "Ledger", due: int, sent: "list[Due]", doubled: int, since: datetime) -> LineageStored:
    """The result: all that is due is there."""
    from common.lineage_letters import letters

    mended = ledger.latest("lineage_mended")
    fields = tuple(DeadLetter.model_fields)
    return LineageStored(
        server=tools.marquez.place, namespace=tools.settings.marquez.namespace, due=due, stored=due, sent=len(sent),
        doubled=doubled, since=f"{since:%Y-%m-%d}", mended=mended.seq if mended else 0,
        dead=tuple(DeadLetter(**{name: each.body[name] for name in fields}) for each in letters(ledger)),
    )  # fmt: skip


if __name__ == "__main__":
    main(__file__)
