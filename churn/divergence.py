"""How far two distributions lie apart: measures of size from shares or counts, tests of certainty from samples.

Sizes say how much has moved, whatever the number of rows; p-values say whether chance could have done it. Shares
are arrays that sum to 1, counts are arrays of rows per bin; both have one entry a bin, in the same order.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# What an empty bin counts for, so that no logarithm is of nothing: Evidently's value, and most scorecards'.
EMPTY_SHARE = 1e-4
Shares = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tested:
    """A test statistic and how often chance alone makes one as large."""

    statistic: float
    p_value: float


def shares_of(counts: Counts) -> Shares:
    """Counts as shares of their sum; all zero where there is none."""
    total = int(counts.sum())
    return counts / total if total else np.zeros(len(counts))


def psi(reference: Shares, current: Shares) -> float:
    """Population stability index, sum of (r - c) ln(r / c): Siddiqi, Credit Risk Scorecards (2006). Symmetric, >= 0.

    Its rule of thumb: below 0.1 stable, above 0.2 moved. With n and m rows in B bins that did not move at all it is
    about (B - 1) (1/n + 1/m).
    """
    r, c = _filled(reference), _filled(current)
    return float(np.sum((r - c) * np.log(r / c)))


def kl_divergence(reference: Shares, current: Shares) -> float:
    """Kullback-Leibler divergence D(reference || current) in nats: Kullback and Leibler (1951)."""
    r, c = _filled(reference), _filled(current)
    r, c = r / r.sum(), c / c.sum()
    return float(np.sum(r * np.log(r / c)))


def jensen_shannon(reference: Shares, current: Shares) -> float:
    """Jensen-Shannon distance, the square root of the divergence in nats: Lin (1991). From 0 to 0.8326."""
    middle = (reference + current) / 2

    def half(shares: Shares) -> float:
        known = shares > 0
        return float(np.sum(shares[known] * np.log(shares[known] / middle[known])))

    return float(np.sqrt(max(half(reference) + half(current), 0.0) / 2))


def kolmogorov_smirnov(reference: npt.ArrayLike, current: npt.ArrayLike) -> Tested:
    """Two-sample Kolmogorov-Smirnov test of values (Smirnov, 1939), p-value by its asymptotic distribution."""
    one, other = np.sort(np.asarray(reference)), np.sort(np.asarray(current))
    everywhere = np.concatenate([one, other])
    gaps = np.searchsorted(one, everywhere, "right") / len(one) - np.searchsorted(other, everywhere, "right") / len(
        other
    )
    return _ks(float(np.abs(gaps).max()), len(one), len(other))


def binned_kolmogorov_smirnov(reference: Counts, current: Counts) -> Tested:
    """The same from counts of ordered bins. The statistic is too small by at most the largest bin's share."""
    gaps = np.cumsum(shares_of(reference)) - np.cumsum(shares_of(current))
    return _ks(float(np.abs(gaps).max(initial=0.0)), int(reference.sum()), int(current.sum()))


def chi_square(reference: Counts, current: Counts) -> Tested:
    """Pearson's chi-square test of homogeneity (1900): were both counted from one distribution? No correction.

    Bins that are empty on both sides do not count. Both sides are samples: a reference of few rows proves less.
    """
    table = np.stack([reference, current]).astype(np.float64)
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return Tested(0.0, 1.0)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    return Tested(statistic, float(_scipy_stats().chi2.sf(statistic, table.shape[1] - 1)))


def holm(p_values: list[float]) -> list[float]:
    """Holm's (1979) step-down correction: with a limit of 0.05, one false finding among all columns in 20 windows."""
    order = np.argsort(p_values, kind="stable")
    corrected, largest = np.ones(len(p_values)), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = largest
    return [float(each) for each in corrected]


def _filled(shares: Shares) -> Shares:
    """Shares without zeroes, as Evidently fills them: 1e-4, or far below the smallest share where that is smaller."""
    known = shares[shares > 0]
    if not len(known):
        return np.full(len(shares), EMPTY_SHARE)
    least = float(known.min())
    return np.where(shares > 0, shares, EMPTY_SHARE if least > EMPTY_SHARE else least / 1e6)


def _ks(distance: float, rows: int, other_rows: int) -> Tested:
    if not rows or not other_rows:
        return Tested(0.0, 1.0)
    effective = round(rows * other_rows / (rows + other_rows))
    return Tested(distance, float(_scipy_stats().kstwo.sf(distance, max(effective, 1))))


def _scipy_stats() -> Any:
    from scipy import stats  # 0.6 s to import

    return stats
