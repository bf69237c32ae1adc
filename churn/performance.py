"""Whether a model answers worse than it did: a metric with an interval, so that noise pages nobody.

Intervals are percentile bootstrap intervals of 95 % (Efron, 1979). Two models on the same rows are compared pair by
pair: each draw scores both on the same resampled rows, which takes out what makes a row hard for either.
"""

from typing import TYPE_CHECKING

import numpy as np

from churn.customers import IntArray
from churn.evaluation import LEVEL, intervals, measure
from churn.findings import HIGHER_IS_BETTER, Change

if TYPE_CHECKING:
    from churn.model import Probabilities

DRAWS = 300


def against_baseline(
    labels: IntArray, predicted: "Probabilities", baseline: float, *, metric: str = "roc_auc", seed: int = 0
) -> Change:
    """A metric of answers whose labels came late, beside what it was on the hold-out.

    The baseline is taken as it is: an interval of its own would only make us slower to say that something is wrong.
    """
    after = measure(labels, predicted)[metric]
    low, high = intervals(labels, predicted, seed=seed, draws=DRAWS)[metric]
    ends = (low - baseline, high - baseline) if metric in HIGHER_IS_BETTER else (baseline - high, baseline - low)
    return Change(metric, baseline, after, *ends, rows=len(labels))


def compared(
    labels: IntArray, old: "Probabilities", new: "Probabilities", *, metric: str = "roc_auc", seed: int = 0
) -> Change:
    """The new model beside the old one on the same rows."""
    random = np.random.default_rng(seed)
    draws = [_difference(labels, old, new, metric, random) for _ in range(DRAWS)]
    sign = 1 if metric in HIGHER_IS_BETTER else -1
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(sign * np.asarray(draws), [tail, 1 - tail])
    before, after = measure(labels, old)[metric], measure(labels, new)[metric]
    return Change(metric, before, after, float(low), float(high), len(labels))


def _difference(
    labels: IntArray, old: "Probabilities", new: "Probabilities", metric: str, random: np.random.Generator
) -> float:
    drawn = random.integers(0, len(labels), len(labels))
    return measure(labels[drawn], new[drawn])[metric] - measure(labels[drawn], old[drawn])[metric]
