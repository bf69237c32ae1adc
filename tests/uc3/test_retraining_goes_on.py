"""Which answers to drift still wait for a canary: one that nobody will try must not stop retraining for ever."""

import io
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.retraining import Budget, Decision, decided
from common.model_versions import Version, candidate_of, champion_of
from common.postgres import Source
from common.settings_uc1 import Uc1
from common.settings_uc3 import Uc3
from common.source_tables import wanted_from
from uc3_drift_retraining import retrain
from uc3_drift_retraining import uc3_02_trigger_retrain_kubeflow as step
from uc3_drift_retraining.comparison import compared

LONG_AGO = "2026-01-01T00:00:00+00:00"


def version(number: int, state: str, *, roc_auc: float = 0.8, against: str = "d1", answers: bool = True) -> Version:
    digest = f"d{number}"
    tags = {
        "state": state, "digest": digest, "gate": "passed", "gate_digest": digest, "gate_champion": against,
        "metric.roc_auc": str(roc_auc), "metric.brier": "0.1",
    }  # fmt: skip
    answered = {"answers_drift": "w1", "answered_at": LONG_AGO} if answers else {}
    return Version("m", str(number), "r", {**tags, **answered})


def tools_with(*versions: Version) -> Any:
    registry = SimpleNamespace(versions=lambda _: versions, champion=lambda _: champion_of(versions, None))
    return SimpleNamespace(mlflow=registry, settings=SimpleNamespace(uc1=Uc1()))


def decision(tools: Any) -> Decision:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    return decided("w2", 0.6, 0.3, retrain.answers(tools), Budget(timedelta(hours=6), 3), now)


PASSED_OVER = (version(1, "retired", answers=False), version(3, "proposed"), version(4, "champion"))


def test_a_sibling_that_was_passed_over_does_not_stop_retraining() -> None:
    tools = tools_with(*PASSED_OVER)
    assert decision(tools).retrain
    assert step.observe(tools) == {"answered": ["w1"], "waiting": False}


@pytest.mark.parametrize("champion", [2, 1])
def test_an_answer_that_a_canary_may_still_try_is_waited_for(champion: int) -> None:
    tools = tools_with(version(champion, "champion", answers=False), version(3, "proposed"), version(4, "rejected"))
    found = decision(tools)
    assert (found.retrain, found.version) == (False, "3")
    assert step.observe(tools)["waiting"] is True


def test_an_answer_that_uc2_leaves_alone_because_a_better_champion_stands_is_not_waited_for() -> None:
    better = version(2, "champion", roc_auc=0.9, answers=False)
    versions = (version(1, "retired", answers=False), better, version(3, "proposed", roc_auc=0.8))
    assert candidate_of(versions, better) == versions[-1]
    assert decision(tools_with(*versions)).retrain
    as_good = version(3, "proposed", roc_auc=0.895)
    assert not decision(tools_with(*versions[:2], as_good)).retrain


def test_rows_without_an_id_are_compared_with_nobodys_and_end_no_run() -> None:
    rows = pa.table({"age": [30.0, 40.0] * 200, "left": [True, False] * 200})
    file = io.BytesIO()
    pq.write_table(rows, file)
    store = SimpleNamespace(key=lambda uri: uri, get_bytes=lambda _: file.getvalue())
    tools: Any = SimpleNamespace(minio=store, settings=SimpleNamespace(uc1=Uc1(entity=None, label="left")))
    assert compared(tools, "s3://fresh", version(1, "champion"), [version(2, "proposed")]) == ()


def test_fresh_rows_are_uc1s_own_where_no_tables_are_named() -> None:
    nowhere: Any = None
    gym = Uc1(table="gym members", label="Left?", event_time="joined", as_of=datetime(2026, 1, 1, tzinfo=UTC))
    wanted = wanted_from(nowhere, gym, Uc3().fresh)
    assert (wanted.source, wanted.as_of) == (Source(table="gym members"), None)
    query = Uc1(query="SELECT 1 AS gone", label="gone")
    assert wanted_from(nowhere, query, Uc3().fresh).source == Source(query="SELECT 1 AS gone")
