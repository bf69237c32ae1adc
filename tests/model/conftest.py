"""A world of its own for each test module: a bucket, a model name and a Feast project on the session's platform."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from common.config import load_settings
from common.digest import digest_of_parquet
from common.settings import Settings
from common.tools import Context, Tools
from tests.conftest import EmbeddedPlatform
from tests.model import people
from uc1_churn_prediction.results import RawCustomers, ValidCustomers


class World:
    """Settings that name everything anew, and steps called without a runner."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings, self.directory = settings, directory

    @property
    def name(self) -> str:
        return self.settings.uc1.model_name

    def tools(self, key: str) -> Tools:
        return Tools(self.settings, Context(key=key, step="test"))

    def snapshot(self, frame: pd.DataFrame) -> ValidCustomers:
        """Publish a frame as ingestion would, and say that it is valid."""
        path = people.write_snapshot(frame, self.directory / f"{uuid.uuid4().hex}.parquet")
        digest = digest_of_parquet(path)
        published = self.tools("any").minio.publish(f"raw/customers/{digest}.parquet", path, {"digest": digest})
        raw = RawCustomers(
            table="subscribers", uri=published.uri, digest=digest, sha256=published.sha256, rows=len(frame),
            size_bytes=published.size_bytes, columns=(), entity=people.ENTITY, label=people.LABEL,
            event_time=people.TIME,
        )  # fmt: skip
        return ValidCustomers(raw=raw, checks=(), data_docs="")


@pytest.fixture(scope="module")
def world(platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    token = uuid.uuid4().hex[:8]
    names = {
        "MLOPS_MINIO__BUCKET": f"model-{token}", "MLOPS_UC1__MODEL_NAME": f"leavers-{token}",
        "MLOPS_FEAST__PROJECT": f"project_{token}", "MLOPS_UC1__TABLE": "subscribers",
        "MLOPS_UC1__ENTITY": people.ENTITY, "MLOPS_UC1__LABEL": people.LABEL, "MLOPS_UC1__POSITIVE_LABEL": "Ja",
        "MLOPS_UC1__EVENT_TIME": people.TIME, "MLOPS_UC1__NUMERIC": "[]", "MLOPS_UC1__CATEGORICAL": "[]",
        "MLOPS_UC1__GATE__MIN_ROC_AUC": "0.6",
    }  # fmt: skip
    assert platform.state
    with pytest.MonkeyPatch.context() as patch:
        for name, value in names.items():
            patch.setenv(name, value)
        world = World(load_settings(), tmp_path_factory.mktemp("world"))
        world.tools("any").minio.ensure_bucket()
        yield world
