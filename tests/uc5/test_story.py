"""UC5 as a user sees it: judged, documented, unchanged the second time, mended where something got lost."""

import json
import re
import signal
import stat
import time
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from common.errors import ConfigError, GateRefused, InvalidData, StepFailed
from common.paths import ROOT
from common.tools import Context
from tests.conftest import EmbeddedPlatform
from tests.uc2.world import ended, people, trained, variant
from tests.uc5.world import NOTED, FairnessWorld, biased
from uc5_fairness_docs import uc5_01_fairness_analysis_wit as fairness
from uc5_fairness_docs import uc5_02_generate_model_card as card


@pytest.fixture(scope="module")
def world(platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> FairnessWorld:
    return FairnessWorld("fair", tmp_path_factory.mktemp("uc5"), platform.state).seed()


@pytest.fixture(scope="module")
def first(world: FairnessWorld) -> dict[str, Any]:
    """What the first run said, step by step."""
    done = world.run("--json")
    assert done.returncode == 0, done.stderr[-3000:]
    return ended(done)


def test_champion_and_challenger_are_judged_and_their_verdicts_bound_to_their_bytes(
    world: FairnessWorld, first: dict[str, Any]
) -> None:
    assert first["01"]["result"]["champion"]["verdict"] == "passed"
    assert first["01"]["result"]["challenger"]["version"] == "2"
    for version in ("1", "2"):
        assert world.now(version).fairness_gate == "passed"
        assert world.now(version).tags["fairness_gate_digest"] == world.now(version).digest


def test_the_analysis_is_of_the_rows_that_training_kept_back_and_of_every_group(
    world: FairnessWorld, first: dict[str, Any]
) -> None:
    result, analysis = first["01"]["result"], world.json(first["01"]["result"]["data"])
    assert result["rows"] == analysis["rows"] == 2000 - analysis["trained_rows"]
    assert list(analysis["slices"]) == ["everybody", "gender", "age", "gender × age"]  # noqa: RUF001
    for groups in analysis["models"][1]["slices"].values():
        assert sum(group["rows"] for group in groups) == result["rows"]
    small = {(group["column"], group["group"]): group["small"] for group in result["groups"]}
    assert small[("gender", "O")]
    assert set(small) == {("gender", each) for each in "FMO"} | {
        ("age", each) for each in ("under 30", "30 to 44", "45 to 59", "60 and over")
    }
    assert "customer_id" not in json.dumps(analysis["cases"])


def test_where_training_measured_something_else_the_hold_out_is_said_to_be_another(first: dict[str, Any]) -> None:
    (note,) = (each for each in first["01"]["result"]["champion"]["notes"] if "ROC AUC" in each)
    assert "was 0.8500 in training" in note


def test_the_card_is_valid_and_says_what_ran(world: FairnessWorld, first: dict[str, Any]) -> None:
    result = first["02"]["result"]
    made = world.json(result["data"])
    schema = json.loads((ROOT / "uc5_fairness_docs/schema/model_card.schema.json").read_text())
    assert list(Draft7Validator(schema).iter_errors(made)) == []
    assert made["model_details"]["digest"] == world.now().digest
    assert made["model_details"]["governance"]["fairness gate"] == "passed"
    metrics = {(m["type"], m.get("slice", "")): m for m in made["quantitative_analysis"]["performance_metrics"]}
    assert float(metrics[("roc_auc", "")]["value"]) == world.now().metrics["roc_auc"]
    rate = metrics[("true_positive_rate", "gender: O")]["confidence_interval"]
    assert (rate["method"], rate["level"]) == ("Wilson", "0.95")
    assert float(metrics[("equalized_odds_difference", "by gender")]["confidence_interval"]["level"]) > 0.99
    plots = {each["name"]: each["image"] for each in made["quantitative_analysis"]["graphics"]["collection"]}
    assert b64decode(plots["ROC curve"]) == b"a picture"
    assert b64decode(plots["Groups side by side"]).startswith(b"\x89PNG")
    assert {"drift", "approval"} <= set(result["missing"])
    assert world.now().tags["model_card"] == result["page"]
    assert world.now().tags["model_card_digest"] == world.now().digest


def test_the_evidence_names_the_bytes_and_what_was_installed(world: FairnessWorld, first: dict[str, Any]) -> None:
    uri = first["02"]["result"]["evidence"]
    found = world.json(uri)
    assert found["model"]["sha256"] == trained()[0].digest
    assert found["data"]["sha256"] == world.tools.minio.stat(world.tools.minio.key(world.data_uri)).sha256
    sbom = world.json(uri.replace("evidence.json", "sbom.cdx.json"))
    assert sbom["bomFormat"] == "CycloneDX"
    assert [[each["name"], each["version"]] for each in sbom["components"]] == NOTED["packages"]
    assert (found["code"]["of"], found["code"]["sha256"]) == ("training", "c" * 64)
    started = world.tools.mlflow.run_facts(world.now().run_id).started_utc
    assert sbom["metadata"]["timestamp"] == started.isoformat()
    assert [len(each["dependsOn"]) for each in sbom["dependencies"] if each["ref"] == "model"] == [2]
    run = world.tools.mlflow.client.list_artifacts(world.now().run_id, "model_card")
    assert {Path(each.path).name for each in run} >= {"model_card.html", "model_card.json", "model_card.md"}


def test_the_report_leads_to_both_pages_and_shows_the_groups(world: FairnessWorld, first: dict[str, Any]) -> None:
    (report,) = world.state.glob("runs/*/report.html")
    html = report.read_text()
    assert "Explore it: thresholds, groups, what-if" in html
    assert "Read the card" in html
    assert "data:image/png" in html
    pages = list(report.parent.glob("pages/*.html"))
    assert len(pages) == 2
    assert {stat.S_IMODE(page.stat().st_mode) for page in (report, *pages)} == {0o600}


def test_a_second_run_changes_nothing_and_a_lost_tag_is_written_again(
    world: FairnessWorld, first: dict[str, Any]
) -> None:
    before, objects = dict(world.now().tags), set(world.objects("fairness/")) | set(world.objects("cards/"))
    assert world.states() == {"01": "unchanged", "02": "unchanged"}
    for tag in ("fairness_gate", "model_card"):
        world.tools.mlflow.client.delete_model_version_tag(world.model_name, "1", tag)
    assert world.states() == {"01": "done", "02": "done"}
    assert world.now().tags == before
    assert set(world.objects("fairness/")) | set(world.objects("cards/")) == objects


@pytest.mark.deep
def test_killed_when_the_page_is_there_and_run_again_it_ends_as_an_undisturbed_run(
    world: FairnessWorld, first: dict[str, Any], platform: EmbeddedPlatform, tmp_path: Path
) -> None:
    other = FairnessWorld("fairkilled", tmp_path, platform.state).seed()
    process = other.start()
    until = time.monotonic() + 120
    while not list(other.tools.minio.list("fairness/")) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    states = other.states()
    assert states["02"] == "done", "the first may have ended before it was killed, the second had not begun"
    assert other.now().fairness_gate == "passed"
    assert other.tools.minio.exists(other.tools.minio.key(other.now().tags["model_card"]))
    assert len(other.objects("fairness/")) == 3
    assert len(other.objects("cards/")) == 5


def test_a_champion_that_prefers_a_group_is_refused_by_its_name_and_the_page_is_shown_all_the_same(
    platform: EmbeddedPlatform, tmp_path: Path
) -> None:
    world = FairnessWorld("unfair", tmp_path, platform.state).seed(biased(), trained()[0])
    done = world.run("--json")
    assert done.returncode == 3, done.stderr[-3000:]
    said = ended(done)
    assert re.search(r"the share of yes of 'M' is 0\.\d+ above that of 'F', at least", said["01"]["cause"])
    assert world.now("1").fairness_gate.startswith("refused: demographic parity by gender")
    assert world.now("2").fairness_gate == "passed"
    assert "02" not in said
    assert "model_card" not in world.now("1").tags
    (report,) = world.state.glob("runs/*/report.html")
    assert "Explore it" in report.read_text()


class Killed(BaseException):
    """The end of a process, as an exception."""


@dataclass
class Dying:
    """A log of effects that ends the process right after one of them."""

    left: int

    def effect(self, kind: str, target: str, facts: dict[str, Any]) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed

    def knows(self, kind: str, target: str, facts: dict[str, Any]) -> bool:
        return True


@pytest.mark.deep
def test_killed_after_any_effect_and_run_again_both_steps_end_the_same(
    platform: EmbeddedPlatform, tmp_path: Path
) -> None:
    def made(world: FairnessWorld) -> tuple[Any, ...]:
        tags = [{k: v for k, v in world.now(n).tags.items() if k.startswith(("fairness", "model_card"))} for n in "12"]
        return tags, sorted(world.objects("fairness/")), sorted(world.objects("cards/"))

    world = FairnessWorld("dying", tmp_path, platform.state).seed()
    tools, killed = world.tools, 0
    for effect in (2, 4, 5):  # after the picture, the champion's verdict, the challenger's
        with pytest.raises(Killed):
            fairness.run(tools.within(Context(log=Dying(max(1, effect - killed)))))
        killed = effect
    report = fairness.run(tools)
    for effect in (3, 3):  # after half of the files, and after the tag
        with pytest.raises(Killed):
            card.run(tools.within(Context(log=Dying(effect))), report)
    card.run(tools, report)
    after = made(world)
    assert [len(each) for each in after] == [2, 3, 5]
    assert [sorted(tags) for tags in after[0]] == [
        ["fairness_gate", "fairness_gate_digest", "model_card", "model_card_digest"],
        ["fairness_gate", "fairness_gate_digest"],
    ]
    assert card.run(tools, fairness.run(tools)).page == world.now().tags["model_card"]  # type: ignore[attr-defined]
    assert made(world) == after


class TestRefusals:
    """In this process: each changes the world a little and runs a step."""

    @pytest.fixture
    def world(self, platform: EmbeddedPlatform, tmp_path: Path, request: pytest.FixtureRequest) -> FairnessWorld:
        name = f"refuse{abs(hash(request.node.name)) % 10_000_000}"
        return FairnessWorld(name, tmp_path, platform.state)

    def test_without_a_champion_it_says_what_to_run(self, world: FairnessWorld) -> None:
        with pytest.raises(StepFailed, match="no champion"):
            fairness.run(world.tools)

    def test_other_bytes_than_the_registrys_are_not_judged(self, world: FairnessWorld) -> None:
        world.seed()
        store = world.tools.minio
        store.put_bytes(store.key(f"{world.now().uri}/model.onnx"), trained()[1].files["model.onnx"])
        with pytest.raises(InvalidData, match="SHA-256"):
            fairness.run(world.tools)
        assert world.now().fairness_gate == ""

    def test_a_challenger_with_damaged_bytes_leaves_the_champion_judged_alone(self, world: FairnessWorld) -> None:
        world.seed()
        store = world.tools.minio
        store.put_bytes(store.key(f"{world.now('2').uri}/model.onnx"), b"nothing")
        made = fairness.run(world.tools)
        assert made.challenger is None  # type: ignore[attr-defined]
        assert world.now("2").fairness_gate == ""

    def test_missing_sensitive_values_are_a_group_and_new_ones_are_refused(self, world: FairnessWorld) -> None:
        world.seed()
        frame = people().copy()
        frame.loc[frame.index[:600], "gender"] = None
        world.publish(frame)
        made = fairness.run(world.tools)
        assert "not known" in {each.group for each in made.groups}  # type: ignore[attr-defined]
        held = frame.index[world_holdout(frame)]
        frame.loc[held[-3:], "gender"] = "X"
        world.publish(frame)
        with pytest.raises(InvalidData, match=r"'gender'.*X \(3 rows\)"):
            fairness.run(world.tools)

    def test_a_sensitive_column_that_the_snapshot_has_not_is_named(self, world: FairnessWorld) -> None:
        world.seed()
        with pytest.raises(ConfigError, match="religion"):
            fairness.run(world.tools_with(MLOPS_UC1__SENSITIVE='["gender", "age", "religion"]'))

    def test_without_a_sensitive_column_nothing_is_judged_and_nobody_told_otherwise(self, world: FairnessWorld) -> None:
        world.seed()
        fairness.run(world.tools_with(MLOPS_UC1__SENSITIVE="[]"))
        assert world.now().fairness_gate.startswith("not judged")

    def test_by_point_a_small_difference_is_refused_that_by_interval_may_be_chance(self, world: FairnessWorld) -> None:
        world.seed()
        tight = {"MLOPS_UC5__LIMITS": "{}", "MLOPS_UC5__MAX_EQUALIZED_ODDS_DIFFERENCE": "0.01"}
        made = fairness.run(world.tools_with(**tight))
        assert world.now().fairness_gate == "passed"
        opens = sum(each.state == "open" for each in made.differences)  # type: ignore[attr-defined]
        assert opens >= 1
        assert f"passed, {opens} open on" in made.summary()  # type: ignore[attr-defined]
        page = world.tools.minio.get_bytes(world.tools.minio.key(made.page)).decode()  # type: ignore[attr-defined]
        assert f'none surely above its limit <span class="badge big open">passed, {opens} open</span>' in page
        with pytest.raises(GateRefused, match="equalized odds"):
            fairness.run(world.tools_with(**tight, MLOPS_UC5__REFUSE_BY="point"))

    def test_of_a_model_that_noted_no_software_the_evidence_is_of_the_cards_writer_and_says_so(
        self, world: FairnessWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tests.uc5.world.RECORD", "another.json")
        world.seed()
        made: Any = card.run(world.tools, fairness.run(world.tools))
        assert world.json(made.evidence)["code"]["of"] == "the environment that wrote the card"
        sbom = world.json(made.evidence.replace("evidence.json", "sbom.cdx.json"))
        assert sbom["metadata"]["properties"] == [
            {"name": "environment", "value": "the environment that wrote the card"}
        ]
        assert "component" not in sbom["metadata"]
        assert not any(each.get("dependsOn") for each in sbom["dependencies"])
        assert sbom["metadata"]["timestamp"] > world.tools.mlflow.run_facts(world.now().run_id).started_utc.isoformat()

    def test_a_new_champion_is_noticed_compared_with_the_old_and_not_described_by_its_card(
        self, world: FairnessWorld
    ) -> None:
        world.seed()
        report = fairness.run(world.tools)
        before = fairness.observe(world.tools)
        world.tools.mlflow.promote(world.now("2"), world.now("1"))
        assert fairness.observe(world.tools) != before
        with pytest.raises(StepFailed, match="version 2 of"):
            card.run(world.tools, report)
        made = fairness.run(world.tools)
        assert (made.champion.version, made.challenger.version) == ("2", "1")  # type: ignore[attr-defined]
        waiting = world.register(variant(trained()[0]))
        world.tools.mlflow.settle(world.model_name)
        assert fairness.run(world.tools).challenger.version == waiting.version  # type: ignore[attr-defined]


def world_holdout(frame: Any) -> Any:
    """Who is held out of the seeded customers."""
    from churn.customers import holdout_mask
    from tests.uc2.world import SEED, SHARE

    return holdout_mask(frame["customer_id"], share=SHARE, seed=SEED)
