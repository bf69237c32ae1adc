"""The analysis as a result: the few numbers that a report, a card and a person on a terminal want."""

import math
from typing import TYPE_CHECKING, Any

from uc5_fairness_docs.analysis import counts
from uc5_fairness_docs.results import Difference, FairnessReport, GroupRates, Judged

if TYPE_CHECKING:
    from churn.fairness import Counts, Verdict
    from common.settings import Settings
    from uc5_fairness_docs.holdout import Holdout
    from uc5_fairness_docs.subjects import Subject

SAME_AUC = 0.001


def report(
    settings: "Settings", subjects: "tuple[Subject, ...]", holdout: "Holdout", verdicts: "tuple[Verdict, ...]",
    analysis: dict[str, Any], places: dict[str, str],
) -> FairnessReport:  # fmt: skip
    """The result of step 1."""
    judged = tuple(_judged(*each) for each in zip(subjects, verdicts, strict=True))
    champion = judged[0].model_copy(update={"notes": (*judged[0].notes, *_unlike_training(subjects[0], analysis))})
    return FairnessReport(
        model_name=settings.uc1.model_name, champion=champion, challenger=judged[1] if len(judged) > 1 else None,
        data_uri=subjects[0].version.tags["data_uri"], rows=len(holdout.labels), confidence=settings.uc5.confidence,
        differences=_differences(verdicts[0]), groups=_groups(settings, subjects[0], holdout, analysis),
        page=places["fairness.html"], data=places["fairness.json"], picture=places["fairness.png"],
    )  # fmt: skip


def _unlike_training(champion: "Subject", analysis: dict[str, Any]) -> tuple[str, ...]:
    """A note where the champion does otherwise here than in training: then this is another hold-out."""
    (everybody,) = analysis["models"][0]["slices"]["everybody"]
    here, then = everybody.get("roc_auc", [math.nan])[0], champion.version.metrics.get("roc_auc", math.nan)
    if math.isnan(here + then) or abs(here - then) < SAME_AUC:
        return ()
    return (f"ROC AUC is {here:.4f} here and was {then:.4f} in training: this is not quite the hold-out of training",)


def _judged(subject: "Subject", verdict: "Verdict") -> Judged:
    version = subject.version
    return Judged(
        version=version.version, algorithm=version.algorithm, digest=version.digest, verdict=str(verdict),
        word=verdict.word, notes=verdict.notes,
    )  # fmt: skip


def _differences(verdict: "Verdict") -> tuple[Difference, ...]:
    return tuple(
        Difference(
            criterion=gap.criterion, column=gap.column, value=round(gap.value, 6), low=round(gap.low, 6),
            high=round(gap.high, 6), level=round(gap.level, 6), limit=gap.limit, lower=gap.lower, higher=gap.higher,
            state=gap.state,
        )
        for gap in verdict.gaps
    )  # fmt: skip


def _groups(
    settings: "Settings", subject: "Subject", holdout: "Holdout", analysis: dict[str, Any]
) -> tuple[GroupRates, ...]:
    chosen = subject.score(holdout.frame) >= subject.threshold
    areas = {
        (column, group["name"]): group.get("roc_auc")
        for column in holdout.groups
        for group in analysis["models"][0]["slices"][column]
    }
    return tuple(
        _rates(column, group, counted, counted.rows < settings.uc5.min_group_rows, areas[(column, group)])
        for column in holdout.groups
        for group, counted in counts(holdout, chosen, column).items()
    )


def _rates(column: str, group: str, counted: "Counts", small: bool, area: list[float] | None) -> GroupRates:
    return GroupRates(
        column=column, group=group, rows=counted.rows, small=small,
        selection_rate=counted.rate("selection_rate"), true_positive_rate=_known(counted.rate("true_positive_rate")),
        false_positive_rate=_known(counted.rate("false_positive_rate")), accuracy=counted.rate("accuracy"),
        roc_auc=(area[0], area[1], area[2]) if area else None,
    )  # fmt: skip


def _known(rate: float) -> float | None:
    return None if math.isnan(rate) else rate
