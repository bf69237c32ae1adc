"""MLflow: runs and the registry, on the embedded server and on a real one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from common.model_versions import Version
from common.registry import Registry
from tests.contract.conftest import own_name


@pytest.fixture
def name(registry: Registry) -> Iterator[str]:
    made = own_name()
    yield made
    experiment = registry.client.get_experiment_by_name(made)
    if experiment:
        registry.client.delete_experiment(experiment.experiment_id)
    if registry.versions(made):
        registry.client.delete_registered_model(made)


def registered(registry: Registry, name: str, key: str, files: Path) -> Version:
    def external() -> str:
        import mlflow

        return f"models:/{mlflow.create_external_model('model').model_id}"

    run_id, source = registry.record_run(
        name, key, name="run", parameters={"depth": 3}, metrics={"roc_auc": 0.8}, tags={}, files=files,
        log_model=external,
    )  # fmt: skip
    tags = {"state": "proposed", "digest": key, "gate": "passed", "gate_digest": key, "metric.roc_auc": "0.8"}
    return registry.register(name, key, run_id=run_id, source=source, tags=tags)


def test_the_version_is_told_and_writing_is_possible(registry: Registry) -> None:
    assert registry.ping()
    registry.probe_write()


def test_the_same_key_makes_one_run_and_one_version(registry: Registry, name: str, tmp_path: Path) -> None:
    first = registered(registry, name, "k1", tmp_path)
    assert registered(registry, name, "k1", tmp_path) == first
    experiment = registry.client.get_experiment_by_name(name).experiment_id
    assert len(registry.client.search_runs([experiment])) == 1


def test_aliases_follow_the_states_of_versions(registry: Registry, name: str, tmp_path: Path) -> None:
    registered(registry, name, "k1", tmp_path)
    champion = registry.settle(name)
    assert champion is not None
    second = registered(registry, name, "k2", tmp_path)
    registry.settle(name)
    assert registry.champion(name) == registry.version(name, champion.number)
    candidate = registry.candidate(name)
    assert candidate is not None
    assert candidate.version == second.version
    registry.promote(candidate, registry.champion(name))
    assert [each.state for each in registry.versions(name)] == ["retired", "champion"]
    aliases = registry.client.get_registered_model(name).aliases
    assert str(aliases["champion"]) == second.version


def test_a_tag_that_is_written_is_read_by_everyone(registry: Registry, name: str, tmp_path: Path) -> None:
    version = registered(registry, name, "k1", tmp_path)
    registry.tag(version, drift_share="0.5")
    (read,) = Registry(registry.settings).versions(name)
    assert read.tags["drift_share"] == "0.5"


def test_a_model_that_nobody_registered_has_no_versions(registry: Registry) -> None:
    assert registry.versions(own_name()) == ()
    assert registry.champion(own_name()) is None
