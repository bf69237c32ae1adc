"""When drift is answered by training again, and when that would loop; how a change of a metric is told from noise."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from churn.performance import against_baseline, compared
from churn.retraining import Answer, Budget, decided, learned_already

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BUDGET = Budget(timedelta(hours=6), per_day=2)


def answer(
    window: str = "w1", *, hours_ago: float = 30, state: str = "retired", version: str = "3", waits: bool = False
) -> Answer:
    return Answer(window, version, f"data of {window}", NOW - timedelta(hours=hours_ago), state, waits)


def test_drift_above_the_threshold_is_answered_and_drift_at_it_is_not() -> None:
    assert decided("w", 0.31, 0.3, (), BUDGET, NOW).retrain
    assert not decided("w", 0.3, 0.3, (), BUDGET, NOW).retrain


@pytest.mark.parametrize("state", ["proposed", "champion", "retired", "rejected", "held"])
def test_a_window_is_answered_once_whatever_became_of_the_answer(state: str) -> None:
    found = decided("w1", 0.9, 0.3, [answer(state=state)], BUDGET, NOW)
    assert (found.retrain, found.version, found.waits) == (False, "3", False)


def test_nothing_is_trained_while_an_answer_waits_for_its_canary() -> None:
    found = decided("w2", 0.9, 0.3, [answer(state="proposed", waits=True)], BUDGET, NOW)
    assert not found.retrain
    assert "waits for its canary" in found.reason


def test_the_cool_down_is_waited_for_and_ends() -> None:
    recent = [answer(hours_ago=5)]
    found = decided("w2", 0.9, 0.3, recent, BUDGET, NOW)
    assert (found.retrain, found.waits) == (False, True)
    assert "until 2026-03-01 13:00 UTC" in found.reason
    assert decided("w2", 0.9, 0.3, recent, BUDGET, NOW + timedelta(hours=1)).retrain


def test_the_budget_counts_windows_and_not_versions() -> None:
    two = [answer("w1", hours_ago=20), answer("w1", hours_ago=20, version="4"), answer("w2", hours_ago=8, version="5")]
    assert "budget" in decided("w3", 0.9, 0.3, two, BUDGET, NOW).reason
    assert decided("w3", 0.9, 0.3, two[:2], BUDGET, NOW).retrain
    assert not decided("w3", 0.9, 0.3, (), Budget(timedelta(0), per_day=0), NOW).retrain


def test_the_same_rows_are_not_learned_from_twice() -> None:
    found = learned_already("data of w1", [answer(state="rejected")])
    assert found is not None
    assert (found.retrain, found.waits) == (False, True)
    assert learned_already("other data", [answer()]) is None


def scored(rows: int, strength: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = (random.random(rows) < 0.3).astype(np.int8)
    return labels, 1 / (1 + np.exp(-(strength * labels + random.normal(0, 1, rows))))


def test_a_model_that_is_as_good_as_before_is_not_called_worse() -> None:
    wrong = sum(against_baseline(*scored(400, 1.5, seed), 0.856).is_worse for seed in range(40))
    assert wrong <= 3


def test_a_model_that_lost_what_it_knew_is_called_worse_and_its_interval_says_by_how_much() -> None:
    found = against_baseline(*scored(800, 0.2, 0), 0.856)
    assert found.is_worse
    assert found.low <= found.change <= found.high < -0.1


def test_two_models_are_compared_on_the_same_rows_so_that_a_small_gain_shows() -> None:
    labels, old = scored(3000, 1.0, 1)
    new = np.clip(old + 0.04 * (labels - 0.3), 0, 1)
    found = compared(labels, old, new)
    assert found.is_better
    assert not compared(labels, old, old).is_better


def test_a_lower_brier_score_is_a_change_for_the_better() -> None:
    labels, old = scored(2000, 1.0, 2)
    found = compared(labels, old, np.clip(old * 0.5 + 0.5 * labels, 0, 1), metric="brier")
    assert found.after < found.before
    assert found.is_better
