"""Two trained models and where to publish them; an API server of its own for each module that asks."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.minio_client import ObjectStore
from common.settings import Minio, Settings
from tests.conftest import EmbeddedPlatform
from tests.serving.artefacts import TrainedArtefact, train
from tests.serving.kube import KubeApi, running


@dataclass(frozen=True)
class Stored:
    """The session's object store, where models are published for these tests alone."""

    minio: Minio
    store: ObjectStore
    addresses: str

    def publish(self, model: TrainedArtefact, folder: str = "") -> str:
        """Upload a model's folder; returns its URI."""
        prefix = f"serving-tests/models/{folder or model.digest}"
        for path in model.directory.iterdir():
            self.store.put_file(f"{prefix}/{path.name}", path)
        return self.store.uri(prefix)


@pytest.fixture(scope="session")
def stored(platform: EmbeddedPlatform, settings: Settings) -> Stored:
    """The platform's S3 server."""
    store = ObjectStore(settings.minio)
    store.ensure_bucket()
    return Stored(settings.minio, store, yaml.safe_dump({"minio": platform.addresses()["minio"]}))


@pytest.fixture(scope="session")
def trees(tmp_path_factory: pytest.TempPathFactory) -> TrainedArtefact:
    """Boosted trees."""
    return train(tmp_path_factory.mktemp("trees"))


@pytest.fixture(scope="session")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> TrainedArtefact:
    """A logistic regression."""
    return train(tmp_path_factory.mktemp("baseline"), trees=False)


@pytest.fixture(scope="module")
def kube_api(stored: Stored) -> Iterator[KubeApi]:
    """An API server with its controllers, which finds the object store as the platform's own does."""
    state = Path(tempfile.mkdtemp(prefix="mlops-kube-", dir="/tmp"))
    (state / "addresses.yaml").write_text(stored.addresses)
    try:
        with running(state) as api:
            yield api
    finally:
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="session")
def rows(trees: TrainedArtefact) -> list[dict[str, Any]]:
    """Rows that any of the models can score."""
    return trees.rows
