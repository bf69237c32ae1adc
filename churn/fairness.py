"""Whether a model treats groups alike: rates of each group, how far apart they are, and how sure that is.

Demographic parity compares the shares of yes (Dwork et al., 2012), equalized odds the hit rates and the false alarm
rates (Hardt, Price and Srebro, 2016); a difference is the largest between any two groups, as Fairlearn's.
"""

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from churn.customers import BoolArray, IntArray
from churn.experiment import compare_conversion
from churn.proportions import wilson
from churn.slices import Groups

SELECTION, HITS, FALSE_ALARMS = "selection_rate", "true_positive_rate", "false_positive_rate"
CRITERIA = {"demographic_parity": (SELECTION,), "equalized_odds": (HITS, FALSE_ALARMS)}
IN_WORDS = {SELECTION: "share of yes", HITS: "hit rate", FALSE_ALARMS: "false alarm rate"}


@dataclass(frozen=True)
class Counts:
    """The four ways to be right or wrong, counted in one group."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def rows(self) -> int:
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative

    def of(self, rate: str) -> tuple[int, int]:
        """Numerator and denominator of a rate."""
        hits, alarms, missed, quiet = (
            self.true_positive, self.false_positive, self.false_negative, self.true_negative
        )  # fmt: skip
        return {
            SELECTION: (hits + alarms, self.rows), HITS: (hits, hits + missed), FALSE_ALARMS: (alarms, alarms + quiet),
            "accuracy": (hits + quiet, self.rows), "precision": (hits, hits + alarms),
            "base_rate": (hits + missed, self.rows),
        }[rate]  # fmt: skip

    def rate(self, name: str) -> float:
        """The rate; NaN where nobody counts for it."""
        count, of = self.of(name)
        return count / of if of else math.nan

    def interval(self, name: str, level: float) -> tuple[float, float]:
        """Wilson's interval of the rate; everything is possible where nobody counts for it."""
        count, of = self.of(name)
        return wilson(count, of, level) if of else (0.0, 1.0)


RATES = (SELECTION, HITS, FALSE_ALARMS, "accuracy", "precision", "base_rate")


def count_by_group(labels: IntArray, chosen: BoolArray, groups: Groups) -> dict[str, Counts]:
    """Count right and wrong decisions in each group, in alphabetical order."""
    names, place = np.unique(groups.astype(str), return_inverse=True)
    cell = place * 4 + labels.astype(np.int64) * 2 + chosen.astype(np.int64)
    counted = np.bincount(cell, minlength=4 * len(names)).reshape(-1, 4).tolist()
    return {str(name): Counts(tp, fp, fn, tn) for name, (tn, fp, fn, tp) in zip(names, counted, strict=True)}


State = Literal["holds", "open", "broken"]


@dataclass(frozen=True)
class Gap:
    """The largest difference of one criterion between the groups of one column.

    `value` is what was measured, between `lower` and `higher` in `rate`; `low` and `high` is its interval at `level`.
    `surely` is the difference that is there beyond chance, and the fields called sure_ say between whom, in what, and
    how large it was measured there; "open" is above the limit, but maybe by chance.
    """

    criterion: str
    column: str
    limit: float
    value: float
    rate: str
    lower: str
    higher: str
    low: float
    high: float
    surely: float
    sure_value: float
    sure_groups: tuple[str, str]
    sure_rate: str
    state: State
    level: float

    @property
    def in_words(self) -> str:
        """What is wrong, with the groups' names; where nothing is broken, what was measured."""
        broken = self.state == "broken"
        rate, value = (self.sure_rate, self.sure_value) if broken else (self.rate, self.value)
        lower, higher = self.sure_groups if broken else (self.lower, self.higher)
        sure = f", at least {self.surely:.3f} of it beyond chance" if broken and self.surely > self.limit else ""
        return (
            f"{self.criterion.replace('_', ' ')} by {self.column}: the {IN_WORDS[rate]} of {higher!r} is {value:.3f} "
            f"above that of {lower!r}{sure} (allowed {self.limit:g})"
        )


@dataclass(frozen=True)
class _Pair:
    rate: str
    lower: str
    higher: str
    value: float
    low: float
    high: float


def judge(
    by_column: Mapping[str, Mapping[str, Counts]], limits: Mapping[str, Mapping[str, float]], *, confidence: float,
    by_point: bool = False,
) -> tuple[Gap, ...]:  # fmt: skip
    """Hold the groups of every column against the limits of that column, a limit for each criterion.

    All pairs of groups of a column are compared, each by Newcombe's interval (1998) at Bonferroni's level: the chance
    that a model without any difference above that column's limits is refused for it is at most 1 - confidence. It is
    a column's, not all columns' together: else a further column would make the gate on the others weaker. By point,
    what was measured above its limit is broken, chance or not.
    """
    judged = (
        _gap(criterion, column, limit, groups, level_of(groups, limits[column], confidence), by_point)
        for column, groups in by_column.items()
        for criterion, limit in limits[column].items()
    )
    return tuple(gap for gap in judged if gap)


def level_of(groups: Mapping[str, Counts], criteria: Iterable[str], confidence: float) -> float:
    """The level of each of a column's intervals, so that all of them hold at once with this confidence."""
    tests = sum(len(tuple(_pairs_of(groups, CRITERIA[criterion]))) for criterion in criteria)
    return 1 - (1 - confidence) / max(tests, 1)


def _gap(
    criterion: str, column: str, limit: float, groups: Mapping[str, Counts], level: float, by_point: bool
) -> Gap | None:
    pairs = [_compared(groups, *names, level) for names in _pairs_of(groups, CRITERIA[criterion])]
    if not pairs:
        return None
    widest, sure = max(pairs, key=lambda pair: pair.value), max(pairs, key=lambda pair: pair.low)
    if by_point:
        sure = widest
    broken = widest.value > limit if by_point else sure.low > limit
    return Gap(
        criterion, column, limit, widest.value, widest.rate, widest.lower, widest.higher, widest.low, widest.high,
        max(sure.low, 0.0), sure.value, (sure.lower, sure.higher), sure.rate,
        "broken" if broken else "open" if widest.value > limit else "holds", level,
    )  # fmt: skip


def _pairs_of(groups: Mapping[str, Counts], rates: Iterable[str]) -> Iterable[tuple[str, str, str]]:
    """Rate and two groups for which somebody counts."""
    for rate in rates:
        counted = [name for name, counts in groups.items() if counts.of(rate)[1]]
        yield from ((rate, one, other) for one, other in itertools.combinations(counted, 2))


def _compared(groups: Mapping[str, Counts], rate: str, one: str, other: str, level: float) -> _Pair:
    """The difference of two groups in a rate, the higher one's minus the lower one's."""
    lower, higher = sorted((one, other), key=lambda name: groups[name].rate(rate))
    (count_a, of_a), (count_b, of_b) = groups[lower].of(rate), groups[higher].of(rate)
    found = compare_conversion(of_a, count_a, of_b, count_b, level)
    return _Pair(rate, lower, higher, found.difference, *found.interval)


@dataclass(frozen=True)
class Verdict:
    """What the gate says: every broken criterion is a reason, every open one a note."""

    gaps: tuple[Gap, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        return tuple(gap.in_words for gap in self.gaps if gap.state == "broken")

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(f"not certain: {gap.in_words}" for gap in self.gaps if gap.state == "open")

    @property
    def word(self) -> str:
        """The verdict in a word, and how many differences were measured above their limits and may be chance."""
        word, opens = str(self).split(":")[0], len(self.notes)
        return f"{word}, {opens} open" if opens and not self.reasons else word

    @property
    def headline(self) -> str:
        """What was found of differences between groups, so short that it can be a title."""
        if not self.gaps:
            return "not judged"
        if self.reasons:
            return f"{len(self.reasons)} above the limit"
        return "none surely above its limit" if self.notes else "none above its limit"

    def __str__(self) -> str:
        if not self.gaps:
            return "not judged: there are no two groups to compare"
        return f"refused: {'; '.join(self.reasons)}" if self.reasons else "passed"
