"""How the report shows UC5's results."""

from typing import TYPE_CHECKING

from common.step import Section, Table

if TYPE_CHECKING:
    from uc5_fairness_docs.results import Difference, FairnessReport, GroupRates, ModelCard

MARKS = {"holds": "✓ holds", "broken": "✗ broken", "open": "… above the limit, maybe by chance"}
DIFFERENCES = ("criterion", "by", "difference", "interval", "limit", "between", "state")
GROUPS = ("by", "group", "rows", "share of yes", "hit rate", "false alarm rate", "accuracy", "ROC AUC")


def fairness(made: "FairnessReport") -> tuple[Section, ...]:
    """The verdict with its differences, then every group."""
    facts = [("champion", f"{made.champion.arm} {made.champion.algorithm}: {made.champion.verdict}")]
    if made.challenger:
        facts.append(("compared with", f"{made.challenger.arm} {made.challenger.algorithm}: {made.challenger.verdict}"))
    facts += [("hold-out", f"{made.rows:,} rows of {made.data_uri}"), ("as JSON", made.data)]
    facts += [("note", note) for note in made.champion.notes]
    verdict = Section(
        title="Fairness of the champion",
        facts=tuple(facts),
        table=Table(columns=DIFFERENCES, rows=tuple(_difference(each) for each in made.differences)),
        pictures=(("Groups side by side, with intervals", made.picture),),
        pages=(("Explore it: thresholds, groups, what-if", made.page),),
    )
    groups = Table(columns=GROUPS, rows=tuple(_group(each) for each in made.groups))
    return (verdict, Section(title="Groups, at the champion's threshold", table=groups))


def _difference(each: "Difference") -> tuple[str, ...]:
    between = f"{each.higher} above {each.lower}"
    interval = f"{each.low:.3f} to {each.high:.3f}"
    name = each.criterion.replace("_", " ")
    return (name, each.column, f"{each.value:.3f}", interval, f"{each.limit:g}", between, MARKS[each.state])


def _group(each: "GroupRates") -> tuple[str, ...]:
    area = "-" if each.roc_auc is None else "{:.3f} ({:.3f} to {:.3f})".format(*each.roc_auc)
    rates = (each.selection_rate, each.true_positive_rate, each.false_positive_rate, each.accuracy)
    rows = f"{each.rows:,}{' (small)' if each.small else ''}"
    return (each.column, each.group, rows, *("-" if rate is None else f"{rate:.1%}" for rate in rates), area)


def card(made: "ModelCard") -> Section:
    """Where the card is, and what it could not know."""
    facts = [
        ("model", f"{made.model_name} v{made.version}, {made.digest}"),
        ("filled", f"{made.filled} fields"),
        ("without a source", ", ".join(made.missing) or "nothing"),
        ("as JSON (Model Card Toolkit v0.0.2)", made.data),
        ("as Markdown", made.markdown),
        ("evidence", made.evidence),
    ]
    return Section(title="Model card", facts=tuple(facts), pages=(("Read the card", made.page),))
