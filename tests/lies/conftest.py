"""What the tests of lying data share: a bucket of their own, an empty cache, and no waiting between tries."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from common.minio_client import ObjectStore
from common.settings import Settings
from tests.data.conftest import own_bucket


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "0")
    monkeypatch.setenv("MLOPS_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture(scope="module")
def store(settings: Settings) -> Iterator[ObjectStore]:
    """A bucket of this module's own."""
    with own_bucket(settings) as made:
        yield made
