"""Snapshots and features on their way lie below the state directory, where the run's lock sweeps."""

import tempfile
from pathlib import Path

import pytest

from tests.model import people
from tests.model.conftest import World
from uc1_churn_prediction.feature_table import Roles, publish_features, read_snapshot


def test_customers_never_lie_in_the_systems_temporary_directory(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not-there"))
    raw = world.snapshot(people.subscribers()).raw
    store = world.tools("any").minio
    roles = Roles(raw.entity, raw.label, raw.event_time)
    assert publish_features(store, world.settings, raw.uri, roles).table.entity == raw.entity
    assert len(read_snapshot(store, raw.uri, roles)) == raw.rows
    assert [path for path in (tmp_path / "state").rglob("*") if path.is_file() or ".tmp-" in path.name] == []
