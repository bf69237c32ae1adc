"""Whether a column has moved, and a population with it: a verdict from two histograms, with its reason.

A column has drifted where it moved by more than the limits allow (PSI or Kullback-Leibler divergence: size) and chance
can be ruled out (Kolmogorov-Smirnov or chi-square, corrected for the number of columns: certainty). Each alone
misleads: with a million rows every p-value is small, with a hundred rows every PSI is large.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from churn import divergence
from churn.divergence import Counts, Tested
from churn.findings import ColumnDrift, Limits
from churn.histograms import Histogram, grouped

SHOWN = 3


def judged(
    reference: Mapping[str, Histogram | None], current: Mapping[str, Histogram | None], limits: Limits
) -> tuple[ColumnDrift, ...]:
    """Every column of the reference, then those that only the current data has; None stands for a column that is gone.

    A column that is gone, or all null now, has drifted; a new one is a finding and counts for nothing.
    """
    compared = [_measured(name, ours, current.get(name), limits) for name, ours in reference.items()]
    new = [_new(name, theirs) for name, theirs in current.items() if name not in reference and theirs]
    return (*_decided(compared, limits), *new)


def _measured(name: str, ours: Histogram | None, theirs: Histogram | None, limits: Limits) -> ColumnDrift:
    kind = ours.bins.kind if ours else "numeric"
    if ours is None or ours.known == 0:
        return ColumnDrift(name, kind, False, finding="nothing is known of it in the reference")
    if theirs is None:
        return ColumnDrift(name, kind, True, method="presence", finding="is missing")
    sides = tuple(divergence.shares_of(counts) for counts in grouped(ours, theirs))
    psi, kl = divergence.psi(*sides), divergence.kl_divergence(*sides)
    by_kl = kl > limits.kl and psi <= limits.psi
    test, tested = _tested(ours, theirs)
    return ColumnDrift(
        name, kind, False, method="kl_divergence" if by_kl else "psi", score=kl if by_kl else psi,
        threshold=limits.kl if by_kl else limits.psi, psi=psi, kl=kl, js=divergence.jensen_shannon(*sides),
        test=test, statistic=tested.statistic, p_value=tested.p_value, finding=_finding(ours, theirs),
    )  # fmt: skip


def _tested(ours: Histogram, theirs: Histogram) -> tuple[str, Tested]:
    """Chi-square for texts, nulls included; for numbers Kolmogorov-Smirnov, or chi-square of null or not if surer."""
    nulls = divergence.chi_square(_nulls(ours), _nulls(theirs))
    if ours.bins.kind == "categorical":
        return "chi-square", divergence.chi_square(*grouped(ours, theirs))
    found = divergence.binned_kolmogorov_smirnov(ours.as_array(), theirs.as_array())
    if not ours.nulls and not theirs.nulls:
        return "kolmogorov-smirnov", found
    name, surer = min((("kolmogorov-smirnov", found), ("chi-square of nulls", nulls)), key=lambda each: each[1].p_value)
    return name, Tested(surer.statistic, min(1.0, 2 * surer.p_value))  # two looks at one column


def _nulls(histogram: Histogram) -> Counts:
    return np.asarray([histogram.known, histogram.nulls])


def _decided(columns: list[ColumnDrift], limits: Limits) -> list[ColumnDrift]:
    tested = [index for index, column in enumerate(columns) if column.p_value is not None]
    p_values = [float(columns[index].p_value or 0.0) for index in tested]
    for index, p_value in zip(tested, divergence.holm(p_values) if limits.corrected else p_values, strict=True):
        column = columns[index]
        moved = (column.psi or 0.0) > limits.psi or (column.kl or 0.0) > limits.kl
        columns[index] = replace(column, p_value=p_value, drifted=moved and p_value < limits.p_value)
    return columns


def _finding(ours: Histogram, theirs: Histogram) -> str:
    if theirs.rows and not theirs.known:
        return "is all null"
    if theirs.is_constant and not ours.is_constant:
        return "is constant"
    if theirs.bins.kind == "categorical" and theirs.counts[-1] and not ours.counts[-1]:
        named = ", ".join(repr(each) for each in theirs.others[:SHOWN])
        return f"has new values{f', such as {named}' if named else ''}"
    return ""


def _new(name: str, theirs: Histogram) -> ColumnDrift:
    return ColumnDrift(name, theirs.bins.kind, False, method="presence", finding="is new")
