"""The analysis: every number of the page and of the JSON, from a hold-out and one or two models."""

import itertools
from dataclasses import asdict
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from common.logger import get_logger
from uc5_fairness_docs.holdout import Holdout
from uc5_fairness_docs.subjects import Subject

if TYPE_CHECKING:
    import pandas as pd

    from churn.customers import BoolArray
    from churn.fairness import Counts, Verdict
    from churn.features import FeatureColumns
    from common.settings import Settings

CASES = 60  # people to try things on
PROBED_ROWS = 500  # people whose answers partial dependence averages
ROLES = {"champion": "champion", "retired": "former champion"}
EVERYBODY = "everybody"
log = get_logger(__name__)


def judged(settings: "Settings", subject: Subject, holdout: Holdout) -> "Verdict":
    """The gate's verdict on one model at its own threshold."""
    from churn.fairness import Verdict, judge

    uc5 = settings.uc5
    chosen = subject.score(holdout.frame) >= subject.threshold
    counted = {column: counts(holdout, chosen, column) for column in holdout.groups}
    limits = {column: uc5.limits_of(column) for column in counted}
    gaps = judge(counted, limits, confidence=uc5.confidence, by_point=uc5.refuse_by == "point")
    return Verdict(gaps)


def counts(holdout: Holdout, chosen: "BoolArray", column: str) -> "dict[str, Counts]":
    """Right and wrong decisions of each group of one column, in the column's order."""
    from churn.fairness import count_by_group
    from churn.slices import order

    counted = count_by_group(holdout.labels, chosen, holdout.groups[column])
    return {name: counted[name] for name in order(holdout.groups[column], holdout.groupings[column])}


def analysed(
    settings: "Settings", subjects: "tuple[Subject, ...]", holdout: Holdout, verdicts: "tuple[Verdict, ...]"
) -> dict[str, Any]:
    """Everything that the page shows, as JSON-able data; nothing in it is of today, so that it can be named by content.

    `subjects` are the champion and, where there is one, the challenger.
    """
    uc1, uc5 = settings.uc1, settings.uc5
    champion = subjects[0]
    features, columns = champion.features(holdout.frame), champion.columns
    grids = {name: grid(features, columns, name) for name in columns.names}
    return {
        "model": uc1.model_name, "label": uc1.label, "threshold": champion.threshold,
        "rows": len(holdout.labels), "trained_rows": holdout.trained_rows,
        "positives": int(holdout.labels.sum()), "data_uri": champion.version.tags.get("data_uri", ""),
        "confidence": uc5.confidence, "z": NormalDist().inv_cdf((1 + uc5.confidence) / 2),
        "refuse_by": uc5.refuse_by, "small": uc5.min_group_rows,
        "cost_ratio": uc5.cost_ratio, "limits": {column: uc5.limits_of(column) for column in holdout.groups},
        "slices": sliced_by(holdout),
        "features": [described(columns, name, grids[name], features) for name in columns.names],
        "models": [
            model(settings, subject, holdout, verdict, grids)
            for subject, verdict in zip(subjects, verdicts, strict=True)
        ],
        "show_people": uc5.show_people,
        "cases": (people if uc5.show_people else nobodies)(settings, subjects, holdout),
    }  # fmt: skip


def sliced_by(holdout: Holdout) -> dict[str, list[str]]:
    """Every slicing and the columns it crosses: everybody, each column, each pair."""
    from churn.slices import CROSS

    pairs = {CROSS.join(two): list(two) for two in itertools.combinations(holdout.groups, 2)}
    return {EVERYBODY: [], **{name: [name] for name in holdout.groups}, **pairs}


def model(
    settings: "Settings", subject: Subject, holdout: Holdout, verdict: "Verdict", grids: dict[str, list[Any]]
) -> dict[str, Any]:
    """One model: who it is, what the gate says, its slices, its partial dependence, itself."""
    from churn.counterfactual import partial_dependence

    version, scores = subject.version, subject.score(holdout.frame)
    probed = subject.features(holdout.frame.sample(min(PROBED_ROWS, len(holdout.frame)), random_state=1))
    own = {name: values for name, values in grids.items() if name in subject.columns.names}
    return {
        "version": version.version, "digest": version.digest, "algorithm": version.algorithm.replace("_", " "),
        "state": version.state, "role": ROLES.get(version.state, "challenger"),
        "threshold": subject.threshold, "verdict": str(verdict), "word": verdict.word, "headline": verdict.headline,
        "gaps": [{**asdict(gap), "in_words": gap.in_words} for gap in verdict.gaps],
        "slices": {name: slices(settings, holdout, scores, columns) for name, columns in sliced_by(holdout).items()},
        "dependence": {
            name: [round(each, 4) for each in values]
            for name, values in partial_dependence(subject.session, probed, subject.columns, own).items()
        },
        "graph": graph(subject),
    }  # fmt: skip


def slices(settings: "Settings", holdout: Holdout, scores: Any, columns: list[str]) -> list[dict[str, Any]]:
    """The groups of no, one or two columns, each with its histograms and metrics."""
    import numpy as np

    from churn.sliced import described as groups_described
    from churn.slices import crossed, order

    values = [holdout.groups[column] for column in columns] or [np.full(len(scores), EVERYBODY, dtype=object)]
    groups = crossed(*values) if len(values) == 2 else values[0]
    names = order(groups, *(holdout.groupings[column] for column in columns)) if columns else (EVERYBODY,)
    level, seed = settings.uc5.confidence, settings.uc1.seed
    return groups_described(holdout.labels, scores, groups, names, level=level, seed=seed)


def graph(subject: Subject) -> dict[str, Any]:
    """The model for the page to evaluate; or why it cannot."""
    from churn.portable import NotPortable, portable

    try:
        return portable(subject.onnx)
    except NotPortable as error:
        log.warning("the page cannot evaluate the model", version=subject.version.version, cause=str(error))
        return {"why_not": str(error)}


def grid(features: "pd.DataFrame", columns: "FeatureColumns", name: str) -> list[Any]:
    """Where a feature is looked at."""
    from churn.counterfactual import grid_of

    return list(grid_of(features[name], name in columns.numeric))


def described(columns: "FeatureColumns", name: str, grid: list[Any], features: "pd.DataFrame") -> dict[str, Any]:
    """A feature as the page's controls need it: numbers with their range, categories with their values."""
    if name not in columns.numeric:
        return {"name": name, "kind": "category", "grid": grid}
    known = features[name][features[name].notna()]
    whole = bool((known == known.round()).all())
    ends = [float(known.min()), float(known.max())] if len(known) else [0.0, 1.0]
    return {
        "name": name,
        "kind": "number",
        "whole": whole,
        "range": ends,
        "deviation": float(known.std()),
        "grid": grid,
    }


def people(settings: "Settings", subjects: "tuple[Subject, ...]", holdout: Holdout) -> list[dict[str, Any]]:
    """Some of the hold-out: values, groups, truth, scores, the nearest who was decided otherwise.

    Ids are left out, and that makes nobody unknown: exact values together name a person to whoever has the table.
    """
    from churn.counterfactual import cases, nearest_opposite

    champion, scores = subjects[0], [subject.score(holdout.frame) for subject in subjects]
    features = champion.features(holdout.frame)
    picked = cases(
        holdout.labels, scores[0], threshold=champion.threshold, count=CASES, seed=settings.uc1.seed
    )  # fmt: skip
    opposite = nearest_opposite(features, champion.columns, scores[0] >= champion.threshold, picked)

    def person(row: int) -> dict[str, Any]:
        return {
            "values": values_of(features, row), "label": int(holdout.labels[row]),
            "groups": {column: groups[row] for column, groups in holdout.groups.items()},
            "scores": [float(each[row]) for each in scores],
        }  # fmt: skip

    return [
        {**person(row), "nearest": None if other is None else person(other)}
        for row, other in zip(picked, opposite, strict=True)
    ]


def nobodies(settings: "Settings", subjects: "tuple[Subject, ...]", holdout: Holdout) -> list[dict[str, Any]]:
    """Made-up people in the place of real ones: values and scores, without groups, truth or neighbours."""
    import pandas as pd

    from churn import counterfactual

    grids = {
        name: grid(subject.features(holdout.frame), subject.columns, name)
        for subject in subjects
        for name in subject.columns.names
    }
    made_up = counterfactual.nobodies(grids, count=CASES, seed=settings.uc1.seed)
    scores = [subject.score(pd.DataFrame(made_up)) for subject in subjects]
    return [
        {"values": values, "label": None, "groups": {}, "scores": [float(each[row]) for each in scores],
         "nearest": None}
        for row, values in enumerate(made_up)
    ]  # fmt: skip


def values_of(features: "pd.DataFrame", row: int) -> dict[str, Any]:
    """A row's inputs: numbers to the nine digits that find the same float32 again, None for not known."""
    found: dict[str, Any] = features.iloc[row].to_dict()
    return {
        name: value if isinstance(value, str) else None if value != value else float(f"{value:.9g}")
        for name, value in found.items()
    }
