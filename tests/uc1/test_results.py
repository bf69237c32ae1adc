"""Which earlier results a lone step may take: those about the table and the model that its configuration names."""

from datetime import UTC, datetime
from typing import Any

import pytest

from common.settings import Settings
from common.step import Result
from uc1_churn_prediction.results import (
    CustomerFeatures,
    DataVersion,
    RawCustomers,
    TrainedModels,
    ValidCustomers,
    source_digest,
)
from uc2_ab_testing.results import CanaryDeployment, ExperimentRun
from uc3_drift_retraining.results import DriftReport
from uc5_fairness_docs.results import FairnessReport
from uc6_gitops_deployment.results import PromotedModel

MINE = {"table": "mine", "entity": "who", "label": "left", "raw_data_path": "raw/mine.parquet", "model_name": "mine"}


def settings(**uc1: object) -> Settings:
    return Settings.model_validate({"uc1": {**MINE, **uc1}, "minio": {"bucket": "bucket"}})


RAW = RawCustomers(
    table="mine", uri="s3://bucket/raw/mine/0f.parquet", digest="0f", sha256="", rows=1, size_bytes=1, columns=(),
    entity="who", label="left", event_time=None, source=source_digest(settings().uc1),
)  # fmt: skip


@pytest.mark.parametrize(
    ("uc1", "said"),
    [
        ({"table": "other"}, "is of mine, not of other"), ({"table": None, "query": "SELECT 1"}, "not of the query"),
        ({"label": "gone"}, "made with left as uc1.label, not gone"),
        ({"entity": None}, "made with who as uc1.entity, not row_number"),
        ({"event_time": "at"}, "made with None as uc1.event_time, not at"),
        ({"dropped": ["note"]}, "another uc1.query, uc1.as_of or uc1.dropped"),
        ({"as_of": datetime(2026, 1, 1, tzinfo=UTC)}, "another uc1.query, uc1.as_of"),
        ({"raw_data_path": "mine.parquet"}, "is s3://bucket/raw/mine/0f.parquet, not in s3://bucket/mine"),
    ],
)  # fmt: skip
def test_a_snapshot_of_something_else_says_what_it_is_of(uc1: dict[str, object], said: str) -> None:
    assert RAW.differs(settings()) == ""
    for made in (DataVersion.model_construct(raw=RAW), ValidCustomers.model_construct(raw=RAW), RAW):
        assert said in made.differs(settings(**uc1))


def test_features_are_those_of_a_model() -> None:
    features = CustomerFeatures.model_construct(raw=RAW, view="mine-features")
    assert features.differs(settings()) == ""
    assert features.differs(settings(model_name="other")) == "is view mine-features, not other-features"
    assert "is of mine" in features.differs(settings(table="other"))


CANARY = CanaryDeployment.model_construct(model_name="mine")


@pytest.mark.parametrize(
    "made",
    [CANARY, ExperimentRun.model_construct(canary=CANARY),
     *(kind.model_construct(model_name="mine")
       for kind in (TrainedModels, DriftReport, FairnessReport, PromotedModel))],
    ids=lambda made: type(made).__name__,
)  # fmt: skip
def test_what_is_about_another_model_says_so(made: Any) -> None:
    assert isinstance(made, Result)
    assert made.differs(settings()) == ""
    assert made.differs(settings(model_name="other")) == "is about model mine, not other"
