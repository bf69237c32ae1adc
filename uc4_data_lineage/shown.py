"""How the report shows UC4's results."""

from typing import TYPE_CHECKING

from common.step import Section, Table

if TYPE_CHECKING:
    from uc4_data_lineage.results import Impact, LineageStored

LETTERS = ("step", "event", "run", "answer", "why")


def stored(made: "LineageStored") -> Section:
    """Due against stored, and every dead letter."""
    facts = (
        ("server", made.server), ("namespace", made.namespace), ("events since", made.since),
        ("due", f"{made.due:,}"), ("stored", f"{made.stored:,}"), ("sent by this step", f"{made.sent:,}"),
        ("stored more than once", f"{made.doubled:,}"), ("refused for good", f"{len(made.dead):,}"),
    )  # fmt: skip
    letters = tuple((each.job, each.type, each.run_id, str(each.status), each.said) for each in made.dead)
    table = Table(columns=LETTERS, rows=letters) if letters else None
    return Section(title="Lineage on the server", facts=facts, table=table)


def impact(made: "Impact") -> Section:
    """The sentence, the picture, and the page that it can be walked on."""
    facts = (("asked about", made.focus), ("which is", made.node), ("direction", made.direction),
             ("known around it", f"{len(made.nodes)} datasets and steps"))  # fmt: skip
    return Section(
        title=f"What depends on {made.focus}", text=made.sentence, facts=facts,
        pictures=((f"Lineage around {made.focus}", made.picture),),
        pages=((f"The lineage around {made.focus}, to walk on", made.page),),
    )  # fmt: skip
