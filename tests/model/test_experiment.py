"""Assignment is sticky and fair, shares have exact bounds, and comparisons agree with published ones."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest, chi2_contingency

from churn.experiment import assign, compare_conversion, disagreement, selected
from churn.proportions import lower_bound, probability_of_as_many, wilson
from churn.windows import Shadow

USERS = [f"user-{number}" for number in range(100_000)]


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_the_share_of_users_is_the_one_asked_for_within_three_sigma(share: float) -> None:
    chosen = sum(assign(user, share, "churn-v2-1") for user in USERS)
    assert abs(chosen - share * len(USERS)) < 3 * math.sqrt(len(USERS) * share * (1 - share))


def test_who_is_in_stays_in_while_the_share_grows_to_everybody() -> None:
    groups = [{user for user in USERS[:2000] if assign(user, share, "s")} for share in (0.0, 0.1, 0.25, 0.5, 1.0)]
    assert all(smaller < larger for smaller, larger in itertools.pairwise(groups))
    assert (len(groups[0]), len(groups[-1])) == (0, 2000)


def test_another_experiment_draws_independent_groups() -> None:
    """Of the 10,000 in one group about half are in the other: a carried-over group would carry over its habits."""
    both = sum(assign(user, 0.5, "one") and assign(user, 0.5, "two") for user in USERS[:40_000])
    assert abs(both - 10_000) < 3 * math.sqrt(40_000 * 0.25 * 0.75)
    assert [selected(user, 0.5) for user in USERS[:100]] != [assign(user, 0.5, "one") for user in USERS[:100]]


def test_disagreement_counts_other_decisions_and_not_other_probabilities() -> None:
    ours, theirs = np.array([0.1, 0.49, 0.51, 0.9]), np.array([0.4, 0.51, 0.49, 0.6])
    assert disagreement(ours, theirs, 0.5) == Shadow(scored=4, disagreeing=2)
    assert disagreement(ours, theirs, 0.45) == Shadow(scored=4, disagreeing=0)


def test_nan_agrees_with_nothing_and_nothing_scored_is_no_agreement() -> None:
    nan = np.array([math.nan, math.nan])
    assert disagreement(nan, nan, 0.5).disagreeing == 2
    assert disagreement(np.array([]), np.array([]), 0.5) == Shadow()


def test_answers_to_different_rows_are_not_compared() -> None:
    with pytest.raises(ValueError, match="2 answers of the candidate cannot be compared with 1"):
        disagreement(np.array([0.1, 0.2]), np.array([0.1]), 0.5)


def test_the_interval_of_a_difference_is_the_published_one() -> None:
    """Newcombe, Statistics in Medicine 17 (1998), table II, method 10: 56/70 against 48/80."""
    compared = compare_conversion(80, 48, 70, 56)
    assert compared.difference == pytest.approx(0.2)
    assert compared.interval == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_the_p_value_is_that_of_the_chi_square_test_without_correction() -> None:
    """With two proportions z squared is chi square: the same test, here in another's hands."""
    theirs = chi2_contingency([[48, 80 - 48], [56, 70 - 56]], correction=False).pvalue
    assert compare_conversion(80, 48, 70, 56).p_value == pytest.approx(theirs)


def test_equal_and_extreme_rates_are_compared_without_dividing_by_nothing() -> None:
    assert compare_conversion(100, 0, 100, 0).p_value == 1.0
    assert compare_conversion(100, 100, 100, 100).p_value == 1.0
    assert compare_conversion(100, 0, 100, 100).p_value < 1e-12


@pytest.mark.parametrize("arms", [(0, 0, 10, 1), (10, 11, 10, 1), (10, -1, 10, 1)])
def test_conversions_that_cannot_be_are_refused(arms: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        compare_conversion(*arms)


@pytest.mark.parametrize(("count", "of"), [(0, 5), (1, 1), (1, 50), (5, 100), (60, 60), (1000, 100_000), (9, 10**6)])
@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.01 / 30])
def test_the_lower_bound_is_clopper_and_pearsons(count: int, of: int, alpha: float) -> None:
    theirs = binomtest(count, of).proportion_ci(1 - 2 * alpha, "exact").low
    assert lower_bound(count, of, alpha) == pytest.approx(theirs, rel=1e-9, abs=1e-12)


def test_the_bound_errs_as_rarely_as_it_says_where_the_normal_approximation_does_not() -> None:
    """At 1 % of 100 requests and alpha 0.01, Wilson's bound is above the truth nearly twice as often as it may be."""
    counts = np.arange(101)
    weights = binom.pmf(counts, 100, 0.01)
    exact = np.array([lower_bound(int(count), 100, 0.01) for count in counts])
    scored = np.array([wilson(int(count), 100, 0.98)[0] for count in counts])
    assert weights[exact > 0.01].sum() <= 0.01 < weights[scored > 0.01].sum()


def test_certainties_have_their_probability() -> None:
    assert probability_of_as_many(0, 10, 0.0) == 1.0
    assert probability_of_as_many(1, 10, 0.0) == 0.0
    assert probability_of_as_many(10, 10, 1.0) == 1.0
