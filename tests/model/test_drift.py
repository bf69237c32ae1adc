"""The drift measures beside scipy, river and Evidently, and the verdicts that follow from them."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.spatial import distance

from churn import divergence
from churn.adwin import Adwin, changes
from churn.drift import judged
from churn.findings import ColumnDrift, Limits, noise_floor, share_of
from churn.histograms import Bins, Histogram, bins_for_numbers, bins_for_texts, grouped

ROWS = 5000


def counted(values: np.ndarray, bins: Bins, nulls: int = 0) -> Histogram:
    """What the counting of a column gives, by numpy."""
    places = np.searchsorted(bins.edges, values, side="left")
    return Histogram(bins, tuple(np.bincount(places, minlength=bins.size).tolist()), nulls)


def named(values: list[str], bins: Bins) -> Histogram:
    counts = [values.count(value) for value in bins.values]
    return Histogram(bins, (*counts, len(values) - sum(counts)))


def column(name: str, found: tuple[ColumnDrift, ...]) -> ColumnDrift:
    return next(each for each in found if each.name == name)


@pytest.mark.parametrize("seed", range(5))
def test_the_exact_kolmogorov_smirnov_test_is_scipys(seed: int) -> None:
    random = np.random.default_rng(seed)
    one, other = random.normal(0, 1, 900).round(1), random.normal(0.1, 1, 1300).round(1)
    ours, theirs = divergence.kolmogorov_smirnov(one, other), stats.ks_2samp(one, other, method="asymp")
    assert ours.statistic == pytest.approx(theirs.statistic, abs=1e-12)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-9)


def test_the_binned_kolmogorov_smirnov_test_misses_no_more_than_a_bins_share() -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(0, 1, ROWS), random.normal(0.2, 1.1, ROWS)
    bins = bins_for_numbers(one)
    left, right = counted(one, bins), counted(other, bins)
    binned = divergence.binned_kolmogorov_smirnov(left.as_array(), right.as_array())
    exact = divergence.kolmogorov_smirnov(one, other)
    largest = max(left.as_array().max(), right.as_array().max()) / ROWS
    assert exact.statistic - largest <= binned.statistic <= exact.statistic + 1e-12


def test_few_distinct_values_have_a_bin_each_so_that_the_binned_test_is_the_exact_one() -> None:
    random = np.random.default_rng(1)
    one, other = random.poisson(3, ROWS).astype(float), random.poisson(3.2, ROWS).astype(float)
    bins = bins_for_numbers(one)
    binned = divergence.binned_kolmogorov_smirnov(counted(one, bins).as_array(), counted(other, bins).as_array())
    exact = stats.ks_2samp(one, other, method="asymp")
    assert binned.statistic == pytest.approx(exact.statistic, abs=1e-12)
    assert binned.p_value == pytest.approx(exact.pvalue, rel=1e-9)


@pytest.mark.parametrize(("one", "other"), [((10, 20, 30), (12, 30, 22)), ((5, 0, 7), (9, 0, 2)), ((1, 2), (400, 90))])
def test_chi_square_is_scipys_test_of_a_contingency_table(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    table = np.array([one, other])
    theirs = stats.chi2_contingency(table[:, table.sum(axis=0) > 0], correction=False)
    ours = divergence.chi_square(np.array(one), np.array(other))
    assert (ours.statistic, ours.p_value) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-9)


def test_divergences_of_shares_are_scipys() -> None:
    one, other = np.array([0.2, 0.5, 0.3]), np.array([0.3, 0.3, 0.4])
    assert divergence.kl_divergence(one, other) == pytest.approx(stats.entropy(one, other))
    assert divergence.jensen_shannon(one, other) == pytest.approx(distance.jensenshannon(one, other))
    assert divergence.psi(one, other) == pytest.approx(stats.entropy(one, other) + stats.entropy(other, one))


def test_sizes_are_evidentlys_on_the_same_bins() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently.legacy.calculations.stattests import jensenshannon_stat_test, kl_div_stat_test, psi_stat_test
        from evidently.legacy.core import ColumnType

    random = np.random.default_rng(3)
    one, other = random.gamma(2, 10, ROWS), random.gamma(2.3, 10, ROWS)
    edges = np.histogram_bin_edges(np.concatenate([one, other]), bins="sturges")
    shares = [np.histogram(values, edges)[0] / ROWS for values in (one, other)]
    for ours, theirs in (
        (divergence.psi, psi_stat_test), (divergence.kl_divergence, kl_div_stat_test),
        (divergence.jensen_shannon, jensenshannon_stat_test),
    ):  # fmt: skip
        scored = theirs.func(pd.Series(one), pd.Series(other), ColumnType.Numerical, 0.1)[0]
        assert ours(*shares) == pytest.approx(scored, rel=1e-3), ours.__name__


@pytest.mark.parametrize("seed", range(10))
def test_adwin_notices_what_rivers_adwin_notices_at_the_same_place(seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from river.drift import ADWIN

    random = np.random.default_rng(seed)
    stream = np.concatenate([random.normal(0.2, 0.1, random.integers(300, 2000)), random.normal(0.4, 0.2, 1500),
                             random.normal(0.38, 0.1, 1000)])  # fmt: skip
    theirs, noticed = ADWIN(), []
    for position, value in enumerate(stream):
        theirs.update(float(value))
        if theirs.drift_detected:
            noticed.append(position)
    assert changes(stream.tolist()) == noticed
    assert noticed


def test_adwin_forgets_what_was_before_a_change() -> None:
    window = Adwin()
    for value in [0.1] * 1000 + [0.9] * 1000:
        window.add(value)
    assert window.mean == pytest.approx(0.9, abs=0.01)
    assert window.width < 1100


def test_adwin_is_quiet_on_a_stream_that_stays() -> None:
    random = np.random.default_rng(0)
    assert sum(bool(changes(random.random(2000).tolist())) for _ in range(50)) <= 2


def test_holms_correction_is_the_textbooks() -> None:
    assert divergence.holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])


def test_a_skewed_column_still_has_ten_groups_of_about_equal_share() -> None:
    values = np.random.default_rng(0).lognormal(3, 3, 50_000)
    bins = bins_for_numbers(values)
    counts = grouped(counted(values, bins), counted(values, bins))[0][:-1]
    assert len(counts) >= 9
    assert counts.max() <= 0.15 * len(values)


def test_two_samples_of_one_population_have_not_drifted_and_the_moved_one_has() -> None:
    random = np.random.default_rng(4)
    usual = random.normal(46, 14, 50_000)
    bins = bins_for_numbers(usual)
    ours = counted(usual, bins)
    same = judged({"age": ours}, {"age": counted(random.normal(46, 14, 2000), bins)}, Limits())
    moved = judged({"age": ours}, {"age": counted(random.normal(37, 14, 2000), bins)}, Limits())
    assert (same[0].drifted, moved[0].drifted) == (False, True)
    assert moved[0].method == "psi"
    assert moved[0].score == moved[0].psi


def test_a_tiny_shift_of_many_rows_is_certain_but_no_drift() -> None:
    random = np.random.default_rng(5)
    usual = random.normal(0, 1, 500_000)
    bins = bins_for_numbers(usual)
    found = judged({"x": counted(usual, bins)}, {"x": counted(random.normal(0.02, 1, 500_000), bins)}, Limits())[0]
    assert found.p_value is not None
    assert found.p_value < 1e-6
    assert not found.drifted


def test_a_large_psi_of_few_rows_is_chance_and_no_drift() -> None:
    random = np.random.default_rng(6)
    bins = bins_for_numbers(random.normal(0, 1, ROWS))
    ours = counted(random.normal(0, 1, ROWS), bins)
    few = judged({"x": ours}, {"x": counted(random.normal(0, 1, 20), bins)}, Limits())[0]
    assert few.psi is not None
    assert few.psi > 0.2
    assert not few.drifted


def test_all_null_missing_new_and_constant_columns_are_findings_and_no_crashes() -> None:
    random = np.random.default_rng(7)
    bins = bins_for_numbers(random.normal(0, 1, ROWS))
    usual = counted(random.normal(0, 1, ROWS), bins)
    empty = Histogram(bins, (0,) * bins.size, nulls=1000)
    constant = counted(np.zeros(1000), bins)
    reference = {"null now": usual, "gone": usual, "constant now": usual, "null before": empty}
    found = judged(
        reference, {"null now": empty, "gone": None, "constant now": constant, "null before": usual, "new": usual},
        Limits(),
    )  # fmt: skip
    assert {each.name: (each.drifted, each.finding) for each in found} == {
        "null now": (True, "is all null"), "gone": (True, "is missing"), "constant now": (True, "is constant"),
        "null before": (False, "nothing is known of it in the reference"), "new": (False, "is new"),
    }  # fmt: skip
    assert share_of(found) == 0.75


def test_a_column_that_was_constant_and_stays_so_has_not_drifted() -> None:
    bins = bins_for_numbers(np.full(ROWS, 7.0))
    found = judged({"x": counted(np.full(ROWS, 7.0), bins)}, {"x": counted(np.full(900, 7.0), bins)}, Limits())[0]
    assert not found.drifted
    changed = judged({"x": counted(np.full(ROWS, 7.0), bins)}, {"x": counted(np.full(900, 8.0), bins)}, Limits())[0]
    assert changed.drifted


def test_new_values_of_a_text_column_are_named() -> None:
    bins = bins_for_texts(["a", "b"] * 500)
    theirs = named(["a"] * 300 + ["c"] * 300, bins)
    found = judged({"t": named(["a", "b"] * 500, bins)}, {"t": Histogram(bins, theirs.counts, 0, ("c",))}, Limits())[0]
    assert found.drifted
    assert found.finding == "has new values, such as 'c'"


def test_nulls_that_became_frequent_are_drift_although_the_known_values_are_as_before() -> None:
    random = np.random.default_rng(8)
    bins = bins_for_numbers(random.normal(0, 1, ROWS))
    ours, theirs = counted(random.normal(0, 1, ROWS), bins, nulls=100), counted(random.normal(0, 1, 700), bins, 300)
    found = judged({"x": ours}, {"x": theirs}, Limits())[0]
    assert found.drifted
    assert found.test == "chi-square of nulls"


def test_the_stated_noise_floor_is_what_samples_of_one_population_show_on_average() -> None:
    random = np.random.default_rng(9)
    bins = bins_for_numbers(random.normal(0, 1, 50_000))
    ours = counted(random.normal(0, 1, 10_000), bins)
    seen = [judged({"x": ours}, {"x": counted(random.normal(0, 1, 1000), bins)}, Limits())[0].psi for _ in range(100)]
    assert np.mean([each for each in seen if each is not None]) == pytest.approx(noise_floor(10_000, 1000), rel=0.25)


def test_fifty_windows_of_an_unmoved_population_raise_no_false_alarm() -> None:
    from embedded.sample_customers import USUAL, customers

    usual = customers(USUAL)
    numeric = ("age", "tenure_months", "monthly_spend", "support_tickets", "days_since_last_login", "products")
    bins = {name: bins_for_numbers(usual[name].astype(float)) for name in numeric}
    ours = {name: _with_nulls(usual[name].astype(float), bins[name]) for name in numeric}
    alarms = drifted = 0
    for seed in range(50):
        chosen = np.random.default_rng(seed).integers(0, USUAL.rows, 500)
        window = {name: _with_nulls(usual[name][chosen].astype(float), bins[name]) for name in numeric}
        found = judged(dict(ours), dict(window), Limits())
        alarms += share_of(found) > 0.3
        drifted += sum(each.drifted for each in found)
    assert (alarms, drifted) == (0, 0)


def _with_nulls(values: np.ndarray, bins: Bins) -> Histogram:
    known = values[~np.isnan(values)]
    return counted(known, bins, len(values) - len(known))
