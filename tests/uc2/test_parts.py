"""Small rules of the canary that need no server: whose verdict holds, what rows become, what conversions mean."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from churn.features import FeatureColumns
from churn.objectives import Rules, Window
from churn.rollout import Rollout, advance
from churn.windows import Arm, Reward, Shadow
from common.errors import GateRefused, InvalidData, Unavailable
from common.iter8_manifests import experiment
from common.registry import Version
from common.serving_manifests import is_undecided
from common.settings_uc2 import Iter8, Uc2
from uc2_ab_testing.evidence import Evidence, reward_of
from uc2_ab_testing.follow import follow
from uc2_ab_testing.progress import Progress, keep
from uc2_ab_testing.replay import as_rows
from uc2_ab_testing.reporting import plan_of, seen_of
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

RUN_IN_FORM = RUN.model_copy(update={"canary": RUN.canary.model_copy(update={"form": "Standard"})})


def window(number: int = 1, disagreeing: int = 0) -> Window:
    arm = Arm(requests=100, p50_ms=1.0, p95_ms=2.0)
    shadow = Shadow(scored=100, disagreeing=disagreeing)
    return Window(number=number, weight=30, seconds=1, champion=arm, candidate=arm, shadow=shadow)


@pytest.mark.parametrize(
    ("recommended", "verdict"), [(None, ""), ("v2", "promoted"), ("v1", "rolled back"), ("", "undecided")]
)
def test_where_iter8_decides_its_winner_is_followed_and_none_rejects_nobody(recommended: Any, verdict: str) -> None:
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


class Conversions:
    """A database that answers, or does not."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.asked = answer, {}

    def rows(self, statement: Any, parameters: dict[str, Any]) -> Any:
        self.asked = dict(statement.bindparams(**parameters).compile().params)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def reward_seen(conversions: Conversions) -> Reward | None:
    """What a window says of conversions, by a query that asks for those since the experiment began."""
    text = "SELECT version, count(*), sum(paid::int) FROM visits WHERE at >= :since GROUP BY version"
    uc2 = Uc2.model_validate({"reward": {"query": text}})
    settings = SimpleNamespace(uc2=uc2, iter8=Iter8())
    nothing = SimpleNamespace(read=lambda *_: ())
    tools: Any = SimpleNamespace(settings=settings, postgres=conversions, prometheus=nothing)
    rules = RULES.model_copy(update={"reward": True, "shadow": False})
    document = {"metadata": {"name": "churn-v2-1", "creationTimestamp": "2026-01-02T03:04:05Z"}}
    return Evidence(tools, RUN, rules, Progress(document)).close(1, 30).reward


def test_conversions_are_counted_since_the_experiment_began() -> None:
    conversions = Conversions([("v1", 100, 10), ("v2", 50, 6)])
    seen = reward_seen(conversions)
    assert seen is not None
    assert seen.candidate_conversions == 6
    assert conversions.asked == {"since": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)}


def test_a_database_that_is_away_leaves_the_reward_open_and_the_experiment_running() -> None:
    seen = reward_seen(Conversions(Unavailable("PostgreSQL does not answer.")))
    rules = RULES.model_copy(update={"reward": True, "shadow": False})
    rollout = advance(Rollout(weight=30), window().model_copy(update={"reward": seen}), rules)
    judged = {each.name: each.state for each in rollout.windows[0].objectives}
    assert judged["conversion_loss"] == "open"
    assert rollout.weight == 30


def test_as_many_windows_as_an_experiment_may_have_fit_into_the_annotation_that_keeps_them() -> None:
    rollout = Rollout(weight=30)
    arm = Arm(requests=123456, errors=1234, slow=1234.567, p50_ms=123.456, p95_ms=1234.567)
    busy = window().model_copy(update={"champion": arm, "candidate": arm, "seconds": 10.123,
                                       "shadow": Shadow(scored=123456, disagreeing=12345)})  # fmt: skip
    judged = advance(rollout, busy, RULES).windows[0]
    rollout = Rollout(weight=30, windows=tuple(judged.model_copy(update={"number": n + 1}) for n in range(300)))
    kept: dict[str, Any] = {}
    tools: Any = SimpleNamespace(
        settings=SimpleNamespace(uc1=SimpleNamespace(namespace="models")),
        iter8=SimpleNamespace(save=lambda _name, _namespace, state, **more: kept.update(state=state, **more)),
    )  # fmt: skip
    keep(tools, "churn-v2-1", rollout, {"after": "x", "examined": ["n" * 80] * 100})
    whole = len(json.dumps(kept["state"], separators=(",", ":")))
    assert whole < 250 * 1024  # Kubernetes allows 256 KiB for all annotations together
    keep(tools, "churn-v2-1", rollout, {}, concluded=True)
    assert len(json.dumps(kept["state"], separators=(",", ":"))) < whole * 0.6


def test_more_windows_than_can_be_kept_are_refused_with_what_to_do() -> None:
    with pytest.raises(ValidationError, match=r"301 windows.*raise iter8\.interval_seconds"):
        Iter8(iterations_per_loop=301, max_loops=1)


def test_our_experiment_is_over_when_its_verdict_is_carried_out_although_iter8_still_works_on_it() -> None:
    notes = {"mlops/expected-disagreement": "0.1"}
    metadata = {"name": "churn-v2-1", "annotations": notes}
    running = {"metadata": metadata, "status": {"conditions": [{"type": "Completed", "status": "False"}]}}
    assert not Progress(running).is_finished
    assert is_undecided(running)
    ended = {**running, "metadata": {**metadata, "annotations": {**notes, "mlops/concluded": "true"}}}
    assert Progress(ended).is_finished
    assert not is_undecided(ended)  # UC1 may go on


def test_without_shadow_scores_the_experiment_and_its_status_say_nothing_of_disagreement() -> None:
    settings = SimpleNamespace(uc2=Uc2(shadow_share=0), iter8=Iter8())
    tools: Any = SimpleNamespace(settings=settings)
    criteria = experiment(plan_of(tools, RUN_IN_FORM), settings.iter8)["spec"]["criteria"]
    assert [each["metric"] for each in criteria["objectives"]] == ["error-rate", "latency-p95"]
    rules = RULES.model_copy(update={"shadow": False})
    rollout = advance(Rollout(weight=30), window(), rules)
    seen = seen_of(RUN, rollout, settings.uc2.objectives, {}, False, shadow=False)
    assert seen.holds == {"v1": (True, True), "v2": (True, True)}


def test_a_version_that_its_gate_refused_is_never_shown_to_users() -> None:
    refused = Version("churn", "2", "run", {"gate": "AUC too low", "gate_digest": "b", "digest": "b"})
    with pytest.raises(GateRefused, match="did not pass its gate: AUC too low"):
        refuse_unfit(refused, FeatureColumns(("age",), ()), FeatureColumns(("age",), ()))


def test_a_version_that_asks_for_other_columns_is_refused_by_their_names() -> None:
    passed = Version("churn", "2", "run", {"gate": "passed", "gate_digest": "b", "digest": "b"})
    refuse_unfit(passed, FeatureColumns(("age", "spend"), ()), FeatureColumns(("spend", "age"), ()))
    with pytest.raises(GateRefused, match="income"):
        refuse_unfit(passed, FeatureColumns(("age", "income"), ()), FeatureColumns(("age",), ()))


def test_a_version_that_takes_text_for_a_number_is_refused_for_it_would_refuse_the_champions_requests() -> None:
    passed = Version("churn", "2", "run", {"gate": "passed", "gate_digest": "b", "digest": "b"})
    with pytest.raises(GateRefused, match="plan"):
        refuse_unfit(passed, FeatureColumns(("age",), ("plan",)), FeatureColumns(("age", "plan"), ()))


def test_replayed_rows_are_plain_json_with_null_for_what_is_not_known() -> None:
    from decimal import Decimal

    frame = pd.DataFrame({
        "count": np.array([1, 2], "int64"), "spend": [1.5, np.nan], "plan": ["a", None], "flag": [True, False],
        "exact": [Decimal("1.25"), None],
    })  # fmt: skip
    assert json.loads(json.dumps(as_rows(frame))) == [
        {"count": 1, "spend": 1.5, "plan": "a", "flag": True, "exact": 1.25},
        {"count": 2, "spend": None, "plan": None, "flag": False, "exact": None},
    ]
