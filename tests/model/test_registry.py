"""A version's life in a real MLflow: made once for a key, aliases that follow tags, nothing lost by a kill."""

import uuid
from pathlib import Path
from typing import Any

import pytest

from common.errors import Unavailable
from common.model_versions import Version, candidate_of
from common.registry import Registry
from common.settings import Settings
from tests.model.lost_answer import losing


@pytest.fixture
def name() -> str:
    return f"model-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def registry(settings: Settings) -> Registry:
    return Registry(settings.mlflow)


def tags(digest: str, *, state: str = "proposed", gate: str = "passed") -> dict[str, str]:
    return {"state": state, "digest": digest, "gate": gate, "gate_digest": digest, "metric.roc_auc": "0.8"}


def record(registry: Registry, name: str, key: str, files: Path, log_model: Any = None) -> tuple[str, str]:
    def external() -> str:
        import mlflow

        return f"models:/{mlflow.create_external_model('model').model_id}"

    return registry.record_run(
        name, key, name="run", parameters={"depth": 3}, metrics={"roc_auc": 0.8}, tags={}, files=files,
        log_model=log_model or external,
    )  # fmt: skip


def registered(registry: Registry, name: str, key: str, files: Path, **said: str) -> Version:
    run_id, source = record(registry, name, key, files)
    return registry.register(name, key, run_id=run_id, source=source, tags=tags(key, **said))


def aliases(registry: Registry, name: str) -> dict[str, str]:
    return {alias: str(v) for alias, v in registry.client.get_registered_model(name).aliases.items()}


def test_the_same_key_makes_one_run_and_one_version_however_often(
    registry: Registry, name: str, tmp_path: Path
) -> None:
    first = registered(registry, name, "k1", tmp_path)
    assert registered(registry, name, "k1", tmp_path) == first
    assert [version.version for version in registry.versions(name)] == ["1"]
    experiment = registry.client.get_experiment_by_name(name).experiment_id
    assert len(registry.client.search_runs([experiment])) == 1


def test_what_a_killed_run_left_is_removed_and_recorded_anew(registry: Registry, name: str, tmp_path: Path) -> None:
    def killed() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(registry, name, "k1", tmp_path, killed)
    run_id, _ = record(registry, name, "k1", tmp_path)
    experiment = registry.client.get_experiment_by_name(name).experiment_id
    assert [run.info.run_id for run in registry.client.search_runs([experiment])] == [run_id]


def test_the_first_that_passed_becomes_champion_and_the_newest_other_is_candidate(
    registry: Registry, name: str, tmp_path: Path
) -> None:
    registered(registry, name, "refused", tmp_path, state="rejected", gate="refused: too low")
    for key in ("k2", "k3", "k4"):
        registered(registry, name, key, tmp_path)
    champion = registry.settle(name)
    assert champion is not None
    assert (champion.version, champion.state) == ("2", "champion")
    assert aliases(registry, name) == {"champion": "2", "candidate": "4"}
    assert registry.settle(name) == registry.champion(name)
    assert aliases(registry, name) == {"champion": "2", "candidate": "4"}


def test_settling_after_a_kill_between_tag_and_alias_heals_and_elects_nobody_else(
    registry: Registry, name: str, tmp_path: Path
) -> None:
    first, second = (registered(registry, name, key, tmp_path) for key in ("k1", "k2"))
    registry.tag(second, state="champion")
    assert aliases(registry, name) == {}
    registry.settle(name)
    assert aliases(registry, name) == {"champion": "2", "candidate": "1"}
    registry.tag(first, state="rejected")
    registry.settle(name)
    assert aliases(registry, name) == {"champion": "2"}


def test_a_promotion_that_was_killed_half_way_keeps_the_champion_that_the_alias_names(
    registry: Registry, name: str, tmp_path: Path
) -> None:
    registered(registry, name, "k1", tmp_path)
    second = registered(registry, name, "k2", tmp_path)
    registry.settle(name)
    registry.tag(second, state="champion")
    champion = registry.settle(name)
    assert champion is not None
    assert champion.version == "1"


def test_a_verdict_on_another_file_is_no_verdict(registry: Registry, name: str, tmp_path: Path) -> None:
    run_id, source = record(registry, name, "k1", tmp_path)
    registry.register(name, "k1", run_id=run_id, source=source, tags={**tags("one"), "gate_digest": "other"})
    assert registry.settle(name) is None
    assert registry.candidate(name) is None


def test_a_version_with_the_champions_own_bytes_is_no_candidate() -> None:
    champion = Version("m", "1", "r", tags("same", state="champion"))
    versions = [champion, Version("m", "2", "r", tags("other")), Version("m", "3", "r", tags("same"))]
    found = candidate_of(versions, champion)
    assert found is not None
    assert found.version == "2"


def test_a_model_that_nobody_registered_has_no_versions_and_no_champion(registry: Registry, name: str) -> None:
    assert registry.versions(name) == ()
    assert registry.champion(name) is None
    assert registry.settle(name) is None


def test_the_users_own_mlflow_variables_lead_nowhere(
    settings: Settings, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "somebody")
    mine = Registry(settings.mlflow)
    assert registered(mine, name, "k1", tmp_path).version == "1"


def test_a_dead_server_is_named_with_its_address(settings: Settings) -> None:
    dead = Registry(settings.mlflow.model_copy(update={"tracking_uri": "http://127.0.0.1:1"}))
    with pytest.raises(Unavailable, match=r"MLflow at http://127.0.0.1:1 does not answer"):
        dead.versions("any")


def test_an_answer_that_was_lost_on_its_way_leaves_one_run_and_one_version(
    registry: Registry, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "0")
    with losing(registry.settings.tracking_uri, "/runs/create", "/model-versions/create") as proxy:
        lossy = Registry(registry.settings.model_copy(update={"tracking_uri": proxy.url}))
        made = registered(lossy, name, "k1", tmp_path)
        assert proxy.lost == ["/runs/create", "/model-versions/create"]
    assert [(version.version, version.key) for version in registry.versions(name)] == [("1", "k1")]
    experiment = registry.client.get_experiment_by_name(name).experiment_id
    assert [run.info.run_id for run in registry.client.search_runs([experiment])] == [made.run_id]


def test_reading_goes_on_after_one_lost_answer(
    registry: Registry, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "0")
    registered(registry, name, "k1", tmp_path)
    with losing(registry.settings.tracking_uri, "/model-versions/search", "/registered-models/alias") as proxy:
        lossy = Registry(registry.settings.model_copy(update={"tracking_uri": proxy.url}))
        champion = lossy.settle(name)
        assert champion is not None
        assert "/registered-models/alias" in proxy.lost
    assert aliases(registry, name) == {"champion": "1"}
