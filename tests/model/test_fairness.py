"""Fairness statistics: Fairlearn's numbers, intervals that mean what they say, refusals that are no chance."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import (
    MetricFrame,
    demographic_parity_difference,
    equalized_odds_difference,
    false_positive_rate,
    selection_rate,
    true_positive_rate,
)

from churn import evaluation
from churn.bootstrap import intervals
from churn.fairness import Counts, Verdict, count_by_group, judge
from churn.sliced import BINS, counts_at, described, histogram
from churn.slices import NOT_KNOWN, UnseenGroup, crossed, learn, order
from common.settings_uc5 import Limits, Uc5

LIMITS = {"group": {"demographic_parity": 0.1, "equalized_odds": 0.1}}


def people(rows: int, seed: int, gap: float = 0.0) -> tuple[Any, Any, Any]:
    """Labels, decisions and groups of so many; those of group B get yes more often by `gap`."""
    random = np.random.default_rng(seed)
    groups = random.choice(["A", "B", "C"], rows, p=[0.6, 0.3, 0.1]).astype(object)
    labels = (random.random(rows) < 0.3).astype(np.int8)
    chance = 0.2 + 0.4 * labels + gap * (groups == "B")
    return labels, random.random(rows) < chance, groups


@pytest.mark.parametrize("seed", range(3))
def test_rates_and_differences_are_those_of_fairlearn(seed: int) -> None:
    labels, chosen, groups = people(3000, seed, gap=0.1)
    counted = count_by_group(labels, chosen, groups)
    metrics = {"selection_rate": selection_rate, "true_positive_rate": true_positive_rate,
               "false_positive_rate": false_positive_rate}  # fmt: skip
    theirs = MetricFrame(metrics=metrics, y_true=labels, y_pred=chosen, sensitive_features=groups).by_group
    for name in metrics:
        assert [counted[group].rate(name) for group in theirs.index] == pytest.approx(theirs[name].tolist())
    gaps = {gap.criterion: gap.value for gap in judge({"group": counted}, LIMITS, confidence=0.95)}
    said = {"y_true": labels, "y_pred": chosen, "sensitive_features": groups}
    assert gaps["demographic_parity"] == pytest.approx(demographic_parity_difference(**said))
    assert gaps["equalized_odds"] == pytest.approx(equalized_odds_difference(**said))


def test_a_model_that_prefers_a_group_is_refused_by_the_groups_name() -> None:
    labels, chosen, groups = people(5000, 1, gap=0.3)
    verdict = Verdict(judge({"group": count_by_group(labels, chosen, groups)}, LIMITS, confidence=0.95))
    assert re.match(
        r"refused: demographic parity by group: the share of yes of 'B' is 0\.\d+ above that of", str(verdict)
    )
    assert all(gap.sure_groups[1] == "B" and gap.surely > 0.1 for gap in verdict.gaps)


def test_a_fair_model_is_refused_in_no_more_cases_than_the_confidence_leaves() -> None:
    refused = 0
    for seed in range(300):
        labels, chosen, groups = people(400, seed)
        none = {"group": {"demographic_parity": 0.0, "equalized_odds": 0.0}}
        refused += bool(
            Verdict(judge({"group": count_by_group(labels, chosen, groups)}, none, confidence=0.95)).reasons
        )
    assert refused <= 300 * 0.05 + 8


def test_another_column_makes_the_gate_on_the_first_no_weaker() -> None:
    gender = {"F": Counts(300, 250, 200, 750), "M": Counts(393, 250, 107, 750)}
    regions = {f"region {n}": Counts(50, 25, 50, 75) for n in range(12)}
    limits = {"gender": LIMITS["group"], "region": LIMITS["group"]}
    alone = judge({"gender": gender}, limits, confidence=0.95)
    beside = judge({"gender": gender, "region": regions}, limits, confidence=0.95)
    assert beside[: len(alone)] == alone
    assert {gap.criterion: gap.state for gap in alone} == {"demographic_parity": "holds", "equalized_odds": "broken"}


def test_each_of_two_fair_columns_is_refused_in_no_more_cases_than_the_confidence_leaves() -> None:
    none = {"demographic_parity": 0.0, "equalized_odds": 0.0}
    refused = dict.fromkeys(("group", "wide"), 0)
    for seed in range(300):
        labels, chosen, groups = people(400, seed)
        wide = np.random.default_rng(1000 + seed).choice(list("STUVWXYZ"), 400).astype(object)
        counted = {"group": count_by_group(labels, chosen, groups), "wide": count_by_group(labels, chosen, wide)}
        gaps = judge(counted, dict.fromkeys(counted, none), confidence=0.95)
        for column in {gap.column for gap in gaps if gap.state == "broken"}:
            refused[column] += 1
    assert max(refused.values()) <= 300 * 0.05 + 8, refused


def test_a_difference_of_three_people_is_noted_and_refuses_nobody_unless_points_count() -> None:
    counted = {"A": Counts(50, 10, 50, 90), "O": Counts(3, 0, 0, 0)}
    gaps = judge({"group": counted}, LIMITS, confidence=0.95)
    assert {gap.state for gap in gaps} == {"open"}
    assert str(Verdict(gaps)) == "passed"
    assert (Verdict(gaps).word, Verdict(gaps).headline) == ("passed, 2 open", "none surely above its limit")
    assert all("'O'" in note for note in Verdict(gaps).notes)
    by_point = Verdict(judge({"group": counted}, LIMITS, confidence=0.95, by_point=True))
    assert (by_point.word, by_point.headline) == ("refused", "2 above the limit")
    assert str(by_point).startswith(
        "refused: demographic parity by group: the share of yes of 'O' is 0.700 above that of 'A'"
    )


def test_a_rate_that_nobody_counts_for_is_compared_with_nothing() -> None:
    counted = {"A": Counts(5, 5, 5, 5), "nobody left": Counts(0, 5, 0, 5), "B": Counts(5, 5, 5, 5)}
    (gap,) = judge({"group": counted}, {"group": {"equalized_odds": 0.1}}, confidence=0.95)
    assert (gap.value, Verdict((gap,)).word, Verdict((gap,)).headline) == (0, "passed", "none above its limit")
    assert str(Verdict(judge({"group": {"A": Counts(1, 1, 1, 1)}}, LIMITS, confidence=0.95))).startswith("not judged")


@pytest.mark.parametrize("rows", [300, 5000])
def test_bootstrapped_cells_give_the_intervals_of_bootstrapped_rows(rows: int) -> None:
    random = np.random.default_rng(5)
    labels = (random.random(rows) < 0.25).astype(np.int8)
    scores = np.clip(random.normal(0.3 + 0.2 * labels, 0.15), 0, 1)
    quick = intervals(labels, scores, level=0.95, seed=1)
    slow = evaluation.intervals(labels, scores, seed=1)
    for name, tolerance in (("roc_auc", 0.012), ("brier", 0.004)):
        assert quick[name] == pytest.approx(slow[name], abs=tolerance)
    assert quick == intervals(labels, scores, level=0.95, seed=1)
    assert intervals(np.zeros(50, np.int8), scores[:50], level=0.95, seed=1)["roc_auc"] == (0.0, 1.0)


@pytest.mark.parametrize("threshold", [0.0, 0.29, 0.5, 0.505, 0.7, 1.0])
def test_histograms_count_at_every_edge_as_the_scores_themselves_do(threshold: float) -> None:
    random = np.random.default_rng(2)
    scores = np.append(random.random(2000), [threshold, 0.29, 0.5, 0.7])
    labels = (random.random(len(scores)) < scores).astype(np.int8)
    groups = np.full(len(scores), "all", dtype=object)
    (group,) = described(labels, scores, groups, ["all"], level=0.95, seed=1)
    assert counts_at(group, threshold) == count_by_group(labels, scores >= threshold, groups)["all"] or threshold == 1.0
    assert sum(histogram(scores)) == len(scores)
    assert len(group["yes"]) == BINS


def test_numbers_fall_into_the_configured_groups_and_who_is_not_known_into_one_of_their_own() -> None:
    ages = pd.Series([18, 29, 30, 44, 45, np.nan, 92], name="age")
    grouping = learn(ages, (30, 45))
    assert grouping.names == ("under 30", "30 to 44", "45 and over")
    found = grouping.groups(ages)
    assert found.tolist() == ["under 30", "under 30", "30 to 44", "30 to 44", "45 and over", NOT_KNOWN, "45 and over"]
    assert order(found, grouping) == ("under 30", "30 to 44", "45 and over", NOT_KNOWN)


def test_missing_categories_are_a_group_also_where_training_had_none() -> None:
    grouping = learn(pd.Series(["F", "M"], name="gender"))
    assert grouping.groups(pd.Series(["M", None, "", "F"], name="gender")).tolist() == ["M", NOT_KNOWN, NOT_KNOWN, "F"]


def test_a_group_that_training_had_not_is_refused_by_name_and_count() -> None:
    grouping = learn(pd.Series(["F", "M"], name="gender"))
    with pytest.raises(UnseenGroup, match=r"'gender'.*X \(2 rows\)"):
        grouping.groups(pd.Series(["X", "M", "X"], name="gender"))
    with pytest.raises(UnseenGroup, match="under 30"):
        learn(pd.Series([50, 60], name="age"), (30,)).groups(pd.Series([20], name="age"))


def test_many_categories_become_the_largest_and_other_and_many_numbers_quartiles() -> None:
    names = [f"town{i:02}" for i in range(40) for _ in range(40 - i)]
    grouping = learn(pd.Series(names, name="town"))
    assert len(grouping.names) == 12
    assert grouping.names[-1] == "other"
    assert grouping.groups(pd.Series(["town00", "town39", "never seen"], name="town")).tolist() == [
        "town00",
        "other",
        "other",
    ]
    assert len(learn(pd.Series(range(100), name="income")).names) == 4


def test_two_columns_crossed_keep_the_order_of_both() -> None:
    gender, age = learn(pd.Series(["F", "M"], name="gender")), learn(pd.Series([20, 50], name="age"), (30,))
    both = crossed(np.array(["M", "F", "F"], object), np.array(["under 30", "30 and over", "under 30"], object))
    assert order(both, gender, age) == ("F × under 30", "F × 30 and over", "M × under 30")  # noqa: RUF001


def test_a_column_has_its_own_limits_and_those_of_all_where_it_names_none() -> None:
    uc5 = Uc5(limits={"age": Limits(max_demographic_parity_difference=0.4)}, max_equalized_odds_difference=0.15)
    assert uc5.limits_of("age") == {"demographic_parity": 0.4, "equalized_odds": 0.15}
    assert uc5.limits_of("gender") == {"demographic_parity": 0.1, "equalized_odds": 0.15}
