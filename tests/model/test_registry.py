"""A version's life in a real MLflow: made once for a key, aliases that follow tags, nothing lost by a kill."""

import functools
import uuid
from pathlib import Path
from typing import Any

import pytest

from common.errors import GateRefused, Unavailable
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
    assert aliases(registry, name) == {"champion": "2"}
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


class Killed(BaseException):
    """The process ended here."""


class Dying:
    """MLflow's client, in a process that is killed just after its n-th write. `writes` are all of them."""

    def __init__(self, client: Any, lives: int) -> None:
        self._client, self._lives = client, lives
        self.writes: list[tuple[str, ...]] = []

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._client, method)
        return functools.partial(self._write, call) if method.startswith(("set_", "delete_")) else call

    def _write(self, call: Any, *arguments: str) -> None:
        call(*arguments)
        self.writes.append((call.__name__, *arguments[1:]))
        if len(self.writes) == self._lives:
            raise Killed


def dying(registry: Registry, lives: int) -> tuple[Registry, list[tuple[str, ...]]]:
    mine = Registry(registry.settings)
    client = vars(mine)["client"] = Dying(registry.client, lives)
    return mine, client.writes


def three_versions(registry: Registry, name: str, files: Path) -> None:
    """A champion, its candidate, and one more that waits."""
    for key in ("k1", "k2", "k3"):
        registered(registry, name, f"{name}-{key}", files)
    registry.settle(name)


def end_of(registry: Registry, name: str) -> tuple[list[str], dict[str, str]]:
    return [version.state for version in registry.versions(name)], aliases(registry, name)


def promote(registry: Registry, name: str, champion: str = "1") -> None:
    candidate = registry.version(name, 2)
    assert candidate is not None
    registry.promote(candidate, registry.version(name, int(champion)), promoted_because="experiment churn-v2-1")


def test_a_promotion_writes_the_new_champions_tag_then_the_old_ones_and_the_alias_last(
    registry: Registry, name: str, tmp_path: Path
) -> None:
    three_versions(registry, name, tmp_path)
    mine, writes = dying(registry, 0)
    promote(mine, name)
    assert writes == [
        ("set_model_version_tag", "2", "promoted_because", "experiment churn-v2-1"),
        ("set_model_version_tag", "2", "state", "champion"),
        ("set_model_version_tag", "1", "retired_by", "2"),
        ("set_model_version_tag", "1", "state", "retired"),
        ("set_registered_model_alias", "champion", "2"),
    ]
    assert end_of(registry, name) == (["retired", "champion", "proposed"], {"champion": "2", "candidate": "3"})


@pytest.mark.parametrize("lives", range(1, 6))
def test_a_promotion_killed_after_any_write_and_repeated_ends_the_same_with_one_champion_throughout(
    registry: Registry, name: str, tmp_path: Path, lives: int
) -> None:
    three_versions(registry, name, tmp_path)
    mine, _ = dying(registry, lives)
    with pytest.raises(Killed):
        promote(mine, name)
    between = registry.champion(name)
    assert between is not None
    assert between.version == ("1" if lives < 4 else "2"), "the old champion stands until it is retired"
    promote(registry, name)
    assert end_of(registry, name) == (["retired", "champion", "proposed"], {"champion": "2", "candidate": "3"})


def test_a_promotion_that_is_done_may_be_repeated_with_whom_the_registry_calls_champion_now(
    registry: Registry, name: str, tmp_path: Path
) -> None:
    three_versions(registry, name, tmp_path)
    promote(registry, name)
    promote(registry, name, champion="2")
    assert end_of(registry, name)[0] == ["retired", "champion", "proposed"]


def test_a_promotion_leaves_what_others_made_of_the_old_champion(registry: Registry, name: str, tmp_path: Path) -> None:
    three_versions(registry, name, tmp_path)
    old = registry.version(name, 1)
    assert old is not None
    registry.tag(old, state="held")
    promote(registry, name)
    assert end_of(registry, name) == (["held", "champion", "proposed"], {"champion": "2", "candidate": "3"})


def test_a_promotion_beside_a_third_champion_is_refused_before_it_writes_anything(
    registry: Registry, name: str, tmp_path: Path
) -> None:
    three_versions(registry, name, tmp_path)
    third, first = registry.version(name, 3), registry.version(name, 1)
    assert third is not None
    assert first is not None
    registry.promote(third, first)
    mine, writes = dying(registry, 0)
    with pytest.raises(
        GateRefused, match=r"Version 3 of .* became champion in the meantime; version 2 is not promoted"
    ):
        promote(mine, name)
    assert writes == []
    assert end_of(registry, name)[0] == ["retired", "proposed", "champion"]


def test_a_version_that_somebody_half_made_champion_is_not_retired_and_does_not_win_the_alias(
    registry: Registry, name: str, tmp_path: Path
) -> None:
    three_versions(registry, name, tmp_path)
    third = registry.version(name, 3)
    assert third is not None
    registry.tag(third, state="champion")
    promote(registry, name)
    assert end_of(registry, name) == (["retired", "champion", "champion"], {"champion": "2"})


def test_a_version_that_failed_before_and_is_promoted_is_no_longer_said_to_have_failed(
    registry: Registry, name: str, tmp_path: Path
) -> None:
    three_versions(registry, name, tmp_path)
    second = registry.version(name, 2)
    assert second is not None
    registry.tag(second, retired_by="9")
    registry.reject(second, "error-rate is 5 %")
    promote(registry, name)
    champion = registry.champion(name)
    assert champion is not None
    assert champion.version == "2"
    assert champion.tags.keys() & {"rejected_because", "retired_by"} == set()
    assert champion.tags["promoted_because"] == "experiment churn-v2-1"


def test_a_champion_is_not_rejected_by_the_verdict_of_an_experiment(
    registry: Registry, name: str, tmp_path: Path
) -> None:
    three_versions(registry, name, tmp_path)
    second = registry.version(name, 2)
    assert second is not None
    promote(registry, name)
    with pytest.raises(GateRefused, match=r"Version 2 of .* is champion; it is not rejected"):
        registry.reject(second, "error-rate is 5 %")
    champion = registry.champion(name)
    assert champion is not None
    assert (champion.version, "rejected_because" in champion.tags) == ("2", False)


@pytest.mark.parametrize("lives", range(1, 4))
def test_a_rejection_killed_after_any_write_and_repeated_ends_the_same(
    registry: Registry, name: str, tmp_path: Path, lives: int
) -> None:
    three_versions(registry, name, tmp_path)
    third = registry.candidate(name)
    assert third is not None
    mine, writes = dying(registry, lives)
    with pytest.raises(Killed):
        mine.reject(third, "error-rate is 5 %")
    rejected = registry.reject(third, "error-rate is 5 %")
    assert (rejected.state, rejected.tags["rejected_because"]) == ("rejected", "error-rate is 5 %")
    assert end_of(registry, name) == (["champion", "proposed", "rejected"], {"champion": "1", "candidate": "2"})
    assert writes[0][2] == "rejected_because", "who sees the state finds the reason"


def test_a_version_is_found_by_its_number(registry: Registry, name: str, tmp_path: Path) -> None:
    three_versions(registry, name, tmp_path)
    found = registry.version(name, 2)
    assert found is not None
    assert found.key == f"{name}-k2"
    assert registry.version(name, 9) is None


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


def candidate_among(champion: int, *others: Version) -> str | None:
    """Who is candidate beside a champion of this number."""
    standing = Version("m", str(champion), "r", tags("best", state="champion"))
    found = candidate_of([standing, *others], standing)
    return found and found.version


def waiting(number: int, digest: str, **said: str) -> Version:
    return Version("m", str(number), "r", tags(digest, **said))


def test_a_version_older_than_the_champion_is_no_candidate() -> None:
    assert candidate_among(3, waiting(1, "one"), waiting(2, "two")) is None
    assert candidate_among(3, waiting(2, "two"), waiting(4, "four")) == "4"


@pytest.mark.parametrize("state", ["retired", "rejected", "held"])
def test_bytes_that_were_judged_in_use_are_no_candidate_under_a_new_number(state: str) -> None:
    judged = waiting(1, "judged", state=state)
    assert candidate_among(2, judged, waiting(4, "judged")) is None
    assert candidate_among(2, judged, waiting(3, "new"), waiting(4, "judged")) == "3"


def sibling(number: int, roc_auc: float, *, state: str = "proposed", step: str = "s1", against: str = "old") -> Version:
    digest = f"d{number}"
    more = {"mlops.key": f"{step}:a{number}", "metric.roc_auc": str(roc_auc), "gate_champion": against}
    return Version("m", str(number), "r", {**tags(digest, state=state), **more})


def chosen(champion: Version, *others: Version) -> str | None:
    found = candidate_of([champion, *others], champion)
    return found and found.version


def test_of_the_models_of_one_step_the_better_one_is_candidate_and_of_equal_ones_the_newest() -> None:
    champion = sibling(2, 0.7, state="champion", step="s0")
    assert chosen(champion, sibling(3, 0.82), sibling(4, 0.81)) == "3"
    assert chosen(champion, sibling(3, 0.81), sibling(4, 0.82)) == "4"
    assert chosen(champion, sibling(3, 0.82), sibling(4, 0.82)) == "4"
    assert chosen(champion, sibling(3, 0.9), sibling(4, 0.81, step="s2")) == "4", "made later, of other rows"
    assert chosen(champion, sibling(3, 0.82, state="rejected"), sibling(4, 0.81)) == "4"


def test_a_sibling_of_the_champion_that_is_not_as_good_is_no_candidate() -> None:
    assert chosen(sibling(3, 0.82, state="champion"), sibling(4, 0.81)) is None
    assert chosen(sibling(3, 0.82, state="champion"), sibling(4, 0.83)) == "4"
    first_of_all = sibling(1, 0.82, state="champion", against="")
    assert chosen(first_of_all, sibling(2, 0.81, against="")) == "2", "the first was compared with nobody"


def test_bytes_that_only_an_earlier_gate_refused_are_a_candidate_when_a_later_gate_lets_them_pass() -> None:
    refused = waiting(1, "same", state="rejected", gate="refused: ROC AUC 0.8 is below the floor of 0.99")
    assert candidate_among(2, refused, waiting(3, "same")) == "3"


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


def test_what_a_run_noted_and_its_files_are_found_again_and_more_may_be_put_beside_them(
    registry: Registry, name: str, tmp_path: Path
) -> None:
    (tmp_path / "roc.png").write_bytes(b"a picture")
    run_id, _ = record(registry, name, "k1", tmp_path)
    facts = registry.run_facts(run_id)
    assert (facts.parameters, facts.metrics) == ({"depth": "3"}, {"roc_auc": 0.8})
    assert facts.started_utc.tzinfo is not None
    for _ in range(2):
        registry.attach(run_id, tmp_path, "card")
    assert registry.artifacts(run_id, ("roc.png", "absent.png")) == {"roc.png": b"a picture"}
    assert [each.path for each in registry.client.list_artifacts(run_id, "card")] == ["card/roc.png"]
