"""Small rules of the canary that need no server: whose verdict holds, what rows become, what conversions mean."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn.objectives import Rules, Window
from churn.rollout import Rollout
from churn.windows import Arm, Shadow
from common.errors import GateRefused, InvalidData
from common.registry import Version
from uc2_ab_testing.evidence import reward_of
from uc2_ab_testing.follow import follow
from uc2_ab_testing.replay import as_rows
from uc2_ab_testing.results import CanaryDeployment, ExperimentRun, ServedVersion
from uc2_ab_testing.trial import refuse_unfit

RULES = Rules(ladder=(10, 100), min_requests=10, max_windows=3, error_rate=0.01, latency_p95_ms=100)
RUN = ExperimentRun(
    name="churn-v2-1",
    canary=CanaryDeployment(
        model_name="churn", namespace="models", champion=ServedVersion(version="1", digest="a", uri="s3://b/a"),
        candidate=ServedVersion(version="2", digest="b", uri="s3://b/b"),
    ),
)  # fmt: skip


def window(number: int = 1, disagreeing: int = 0) -> Window:
    arm = Arm(requests=100, p50_ms=1.0, p95_ms=2.0)
    shadow = Shadow(scored=100, disagreeing=disagreeing)
    return Window(number=number, weight=30, seconds=1, champion=arm, candidate=arm, shadow=shadow)


@pytest.mark.parametrize(
    ("recommended", "verdict"), [(None, ""), ("v2", "promoted"), ("v1", "rolled back"), ("", "rolled back")]
)
def test_where_iter8_decides_its_winner_is_followed_and_no_winner_is_a_no(recommended: Any, verdict: str) -> None:
    assert follow(Rollout(weight=30), window(), RULES, recommended, "v2").verdict == verdict


def test_iter8_cannot_promote_a_canary_that_decides_otherwise(caplog: pytest.LogCaptureFixture) -> None:
    ended = follow(Rollout(weight=30), window(disagreeing=60), RULES, "v2", "v2")
    assert ended.verdict == "rolled back"
    assert "the canary decides otherwise" in ended.reason


def test_iter8_that_never_recommends_anything_ends_without_promotion() -> None:
    rollout = Rollout(weight=30)
    for number in (1, 2, 3):
        assert rollout.verdict == ""
        rollout = follow(rollout, window(number), RULES, None, "v2")
    assert rollout.verdict == "undecided"


def test_conversions_are_found_by_version_however_it_is_written() -> None:
    reward = reward_of([("v1", 100, 10), (2, 50, 6)], RUN)
    assert (reward.champion_users, reward.champion_conversions) == (100, 10)
    assert (reward.candidate_users, reward.candidate_conversions) == (50, 6)


def test_a_query_that_returns_other_columns_is_refused() -> None:
    with pytest.raises(InvalidData, match="version, users, conversions"):
        reward_of([("v1", 100)], RUN)


def test_a_version_that_its_gate_refused_is_never_shown_to_users() -> None:
    refused = Version("churn", "2", "run", {"gate": "AUC too low", "gate_digest": "b", "digest": "b"})
    with pytest.raises(GateRefused, match="did not pass its gate: AUC too low"):
        refuse_unfit(refused, ("age",), ("age",))


def test_a_version_that_asks_for_other_columns_is_refused_by_their_names() -> None:
    passed = Version("churn", "2", "run", {"gate": "passed", "gate_digest": "b", "digest": "b"})
    refuse_unfit(passed, ("age", "spend"), ("spend", "age"))
    with pytest.raises(GateRefused, match="income"):
        refuse_unfit(passed, ("age", "income"), ("age",))


def test_replayed_rows_are_plain_json_with_null_for_what_is_not_known() -> None:
    import json
    from decimal import Decimal

    frame = pd.DataFrame({
        "count": np.array([1, 2], "int64"), "spend": [1.5, np.nan], "plan": ["a", None], "flag": [True, False],
        "exact": [Decimal("1.25"), None],
    })  # fmt: skip
    assert json.loads(json.dumps(as_rows(frame))) == [
        {"count": 1, "spend": 1.5, "plan": "a", "flag": True, "exact": 1.25},
        {"count": 2, "spend": None, "plan": None, "flag": False, "exact": None},
    ]
