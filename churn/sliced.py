"""One model on one hold-out, seen by groups: what a page needs to recompute everything at any threshold.

Scores are kept as counts in BINS equal bins for each group and label, so that a page is as small and as fast for a
million people as for a thousand. A threshold is a bin's edge: whoever is at or above it is said yes to.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from churn import bootstrap
from churn.customers import IntArray
from churn.evaluation import measure
from churn.fairness import Counts
from churn.model import Probabilities
from churn.slices import Groups

BINS = 200


def described(
    labels: IntArray, predicted: Probabilities, groups: Groups, names: Sequence[str], *, level: float, seed: int
) -> list[dict[str, Any]]:
    """Each group's histograms and the metrics that need the scores themselves, with intervals."""
    return [_group(name, labels[groups == name], predicted[groups == name], level, seed) for name in names]


def _group(name: str, labels: IntArray, predicted: Probabilities, level: float, seed: int) -> dict[str, Any]:
    ends = bootstrap.intervals(labels, predicted, level=level, seed=seed)
    both = 0 < int(labels.sum()) < len(labels)
    metrics = measure(labels, predicted) if both else {"brier": float(((predicted - labels) ** 2).mean())}
    measured: dict[str, Any] = {m: [round(v, 5) for v in (metrics[m], *ends[m])] for m in ends if m in metrics}
    return {
        "name": name, "rows": len(labels), "yes": histogram(predicted[labels == 1]),
        "no": histogram(predicted[labels == 0]), **measured,
    }  # fmt: skip


def histogram(scores: Probabilities) -> list[int]:
    """How many scores are in each of BINS equal bins of [0, 1]; a score at an edge belongs above it."""
    # A tenth of a billionth: 0.29 * 200 is 57.99999999999999.
    place = np.clip(np.floor(scores * BINS + 1e-10).astype(np.int64), 0, BINS - 1)
    return [int(count) for count in np.bincount(place, minlength=BINS)]


def counts_at(group: Mapping[str, Any], threshold: float) -> Counts:
    """What a threshold decides in a group that `described` gave, exact where the threshold is a bin's edge."""
    edge = round(threshold * BINS)
    yes, no = group["yes"], group["no"]
    return Counts(sum(yes[edge:]), sum(no[edge:]), sum(yes[:edge]), sum(no[:edge]))
