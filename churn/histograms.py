"""Columns of any number of rows as a few hundred counts: bins that follow from the reference, and what fell in them."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from churn.divergence import Counts

FINE_BINS = 200
TAIL = 0.001  # of a sample's values on each side fall into the outermost bins
# A bin of equal width with more than this share of the sample says too little: then bins are of equal share.
CROWDED = 0.1
MOST_VALUES = 128
GROUPS = 10
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Bins:
    """Where a column is cut: numbers at `edges` (bin i holds edge i-1 < x <= edge i), texts by `values`.

    There is one count more than edges or values: what lies above the last edge, or is none of the values. `width` is
    the distance between edges where it is everywhere the same, else 0.
    """

    kind: Literal["numeric", "categorical"]
    edges: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    width: float = 0.0

    @property
    def size(self) -> int:
        return len(self.edges or self.values) + 1


@dataclass(frozen=True)
class Histogram:
    """A column's rows: counts by bin, and how many are null. `others` are examples of values that no bin is for."""

    bins: Bins
    counts: tuple[int, ...]
    nulls: int = 0
    others: tuple[str, ...] = field(default=())

    @property
    def known(self) -> int:
        return sum(self.counts)

    @property
    def rows(self) -> int:
        return self.known + self.nulls

    @property
    def is_constant(self) -> bool:
        return self.nulls == 0 and sum(count > 0 for count in self.counts) == 1

    def as_array(self) -> Counts:
        return np.asarray(self.counts, dtype=np.int64)


def bins_for_numbers(sample: Values) -> Bins:
    """Bins for a numeric column, from a sample of the reference.

    Few distinct values: a bin for each. Else FINE_BINS of equal width between the tails, which are quick to count;
    where a few of them would hold everything, because the column is skewed, as many of equal share.
    """
    known = sample[np.isfinite(sample)]
    if not len(known):
        return Bins("numeric", edges=(0.0,))
    distinct = np.unique(known)
    if len(distinct) <= MOST_VALUES:
        return _between(distinct)
    low, high = np.quantile(known, [TAIL, 1 - TAIL])
    even = np.linspace(low, high, FINE_BINS)
    crowded = low == high or np.histogram(known, even)[0].max() > CROWDED * len(known)
    if not crowded:
        return Bins("numeric", edges=_plain(even), width=float(even[1] - even[0]))
    return Bins("numeric", edges=_plain(np.unique(np.quantile(known, np.linspace(TAIL, 1 - TAIL, FINE_BINS)))))


def bins_for_texts(sample: list[str]) -> Bins:
    """A bin for each text of the sample, the MOST_VALUES most frequent ones."""
    values, counts = np.unique(np.asarray(sample, dtype=str), return_counts=True)
    chosen = values[np.argsort(-counts, kind="stable")][:MOST_VALUES]
    return Bins("categorical", values=tuple(sorted(str(value) for value in chosen)))


def grouped(reference: Histogram, current: Histogram, groups: int = GROUPS) -> tuple[Counts, Counts]:
    """Both as counts of about `groups` bins of equal share of the reference, in order, and nulls as the last one.

    The customary ten: a measure of fine bins grows with their number where nothing has moved. Texts stay as they are.
    """
    ours, theirs = reference.as_array(), current.as_array()
    if reference.bins.kind == "numeric":
        starts = _starts(ours, groups)
        ours, theirs = np.add.reduceat(ours, starts), np.add.reduceat(theirs, starts)
    return np.append(ours, reference.nulls), np.append(theirs, current.nulls)


def _starts(counts: Counts, groups: int) -> npt.NDArray[np.intp]:
    """The first fine bin of each group: a group is closed once it has its share of the rows."""
    total, starts, held = int(counts.sum()), [0], 0
    for index, count in enumerate(counts[:-1]):
        held += int(count)
        if held * groups >= total > 0:
            starts.append(index + 1)
            held = 0
    return np.asarray(starts, dtype=np.intp)


def _between(distinct: Values) -> Bins:
    """Cut half-way between neighbours; of equal width where the values are, as whole numbers mostly are."""
    if len(distinct) == 1:
        return Bins("numeric", edges=(float(distinct[0]) - 0.5, float(distinct[0]) + 0.5), width=1.0)
    steps = np.diff(distinct)
    step, span = float(steps.min()), float(distinct[-1] - distinct[0])
    even = span / step <= 2 * MOST_VALUES and np.allclose(steps / step, np.round(steps / step), rtol=0, atol=1e-6)
    if even:
        count = round(span / step) + 2
        return Bins("numeric", edges=_plain(distinct[0] - step / 2 + step * np.arange(count)), width=step)
    middles = (distinct[1:] + distinct[:-1]) / 2
    return Bins("numeric", edges=_plain(np.concatenate([[distinct[0] - step], middles, [distinct[-1] + step]])))


def _plain(values: Values) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
