"""The gate: a floor, a ceiling, no step back behind the champion, and no number that is none."""

import math

import pytest

from churn.gates import ModelRules, judge_model

RULES = ModelRules(min_roc_auc=0.65, max_brier=0.25, max_roc_auc_drop=0.01)
GOOD = {"roc_auc": 0.80, "brier": 0.15}


def test_a_good_model_passes_and_at_the_limits_too() -> None:
    assert str(judge_model(GOOD, RULES)) == "passed"
    assert judge_model({"roc_auc": 0.65, "brier": 0.25}, RULES).passed


def test_every_reason_is_named_with_its_numbers() -> None:
    verdict = judge_model({"roc_auc": 0.6, "brier": 0.3}, RULES, champion=GOOD)
    assert not verdict.passed
    assert "0.6000 is below the floor of 0.65" in verdict.reasons[0]
    assert "0.3000 is above the ceiling of 0.25" in verdict.reasons[1]
    assert "below the champion's 0.8000" in verdict.reasons[2]
    assert str(verdict).startswith("refused: ")


def test_a_little_worse_than_the_champion_passes_and_more_does_not() -> None:
    assert judge_model({**GOOD, "roc_auc": 0.795}, RULES, champion=GOOD).passed
    assert not judge_model({**GOOD, "roc_auc": 0.785}, RULES, champion=GOOD).passed


@pytest.mark.parametrize("broken", ["roc_auc", "brier"])
@pytest.mark.parametrize("value", [math.nan, None])
def test_a_number_that_is_nan_or_missing_refuses_the_model(broken: str, value: float | None) -> None:
    numbers = {name: number for name, number in {**GOOD, broken: value}.items() if number is not None}
    assert not judge_model(numbers, RULES).passed


def test_a_champion_that_cannot_be_measured_refuses_the_model() -> None:
    assert not judge_model(GOOD, RULES, champion={"roc_auc": math.nan}).passed
