"""The training pipeline: compiled to the same bytes, run from its YAML, once for a key, whatever kills it."""

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
import yaml

from churn import model
from common import pipeline_errors
from common.config import load_settings
from common.errors import ConfigError, GateRefused, InvalidData, StepFailed
from common.kubeflow_client import PipelineRun, published_package
from common.registry import Registry
from common.software import code_sha256
from common.tools import Tools
from tests.model import people
from tests.model.conftest import World
from uc1_churn_prediction import uc1_04_feature_engineering_feast as step4
from uc1_churn_prediction import uc1_05_model_training_kubeflow as step5
from uc1_churn_prediction.results import CustomerFeatures, TrainedModels
from uc1_churn_prediction.training import component as shared
from uc1_churn_prediction.training import evaluate, frame, register, train
from uc1_churn_prediction.training_pipeline import NAME, compile_pipeline

KEY = "a" * 64
FOLDERS = ("frame", "models", "evaluations")


class InProcess:
    """The pipeline without its processes: the same functions, one after the other, for tests of what they do."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def run(
        self, name: str, package: bytes, arguments: Mapping[str, Any], *, key: str, deadline_seconds: float
    ) -> PipelineRun:
        folders, said = [str(self.directory / key / each) for each in FOLDERS], arguments["settings"]
        try:
            frame.run(arguments["snapshot_uri"], arguments["features_uri"], key, folders[0], said)
            train.run(arguments["algorithms"], key, *folders[:2], said)
            evaluate.run(arguments["champion_uri"], key, *folders, said)
            register.run(arguments["snapshot_uri"], key, *folders, said)
        except Exception as error:  # what a component's process would end with
            return PipelineRun(key, "FAILED", str(error))
        return PipelineRun(key, "SUCCEEDED")


def here(world: World, key: str) -> Tools:
    """Tools whose pipelines run in this process."""
    tools = world.tools(key)
    vars(tools)["kubeflow"] = InProcess(world.directory)
    return tools


@pytest.fixture(scope="module")
def features(world: World) -> CustomerFeatures:
    made: CustomerFeatures = step4.run(world.tools("features"), world.snapshot(people.subscribers()))
    return made


@pytest.fixture(scope="module")
def trained(world: World, features: CustomerFeatures) -> TrainedModels:
    made: TrainedModels = step5.run(world.tools(KEY), features)
    return made


def test_the_pipeline_compiles_to_the_same_bytes_and_hides_no_gate_in_a_condition() -> None:
    package = compile_pipeline("image:1")
    assert package == compile_pipeline("image:1")
    assert package != compile_pipeline("image:2")
    pipeline = next(yaml.safe_load_all(package))
    tasks = pipeline["root"]["dag"]["tasks"]
    assert list(tasks) == ["evaluate", "register", "train", "training-frame"]
    assert not any("triggerPolicy" in task and "condition" in task["triggerPolicy"] for task in tasks.values())
    assert "pip install" not in package.decode()


def test_the_first_run_makes_the_baseline_champion_and_leaves_the_trees_as_candidate(
    world: World, trained: TrainedModels
) -> None:
    states = [(each.version, each.algorithm, each.state, each.gate) for each in trained.versions]
    assert states == [
        ("1", "logistic_regression", "champion", "passed"),
        ("2", "gradient_boosting", "proposed", "passed"),
    ]
    assert trained.champion == "1"
    assert [each.tags["gate_champion"] for each in world.tools("any").mlflow.versions(world.name)] == ["", ""]
    candidate = world.tools("any").mlflow.candidate(world.name)
    assert candidate is not None
    assert candidate.version == "2"


def test_a_second_run_of_the_key_makes_nothing_and_says_the_same(
    world: World, features: CustomerFeatures, trained: TrainedModels
) -> None:
    before = sorted(each.key for each in world.tools("any").minio.list(""))
    observed = step5.observe(world.tools("any"))
    assert step5.run(world.tools(KEY), features) == trained
    assert sorted(each.key for each in world.tools("any").minio.list("")) == before
    assert step5.observe(world.tools("any")) == observed
    assert len(world.tools("any").mlflow.versions(world.name)) == 2


def test_the_published_model_answers_its_golden_rows_and_the_folder_is_named_by_its_digest(
    world: World, trained: TrainedModels
) -> None:
    store = world.tools("any").minio
    for version in trained.versions:
        key = store.key(version.uri)
        golden, schema = store.get_json(f"{key}/golden.json"), store.get_json(f"{key}/schema.json")
        onnx = store.get_bytes(f"{key}/model.onnx")
        assert key.endswith(version.digest)
        assert schema["digest"] == version.digest
        assert (schema["numeric"], schema["categorical"]) == ([*people.NUMERIC], [*people.CATEGORICAL])
        assert any(value is None for row in golden["rows"] for value in row.values())
        rows = pd.DataFrame(golden["rows"])
        rows[[*people.NUMERIC]] = rows[[*people.NUMERIC]].astype("float32")
        rows["Tarif"] = rows["Tarif"].fillna(schema["missing_category"])
        answers = model.onnx_probabilities(model.session(onnx), rows)
        assert model.largest_difference(np.array(golden["probabilities"]), answers) <= model.TOLERANCE


def test_the_run_in_mlflow_holds_metrics_with_intervals_pictures_signature_and_a_loadable_model(
    world: World, trained: TrainedModels, tmp_path: Path
) -> None:
    import mlflow.sklearn

    registry, version = world.tools("any").mlflow, trained.versions[1]
    run = registry.client.get_run(version.run_id)
    measured = run.data.metrics
    assert measured["roc_auc_low"] < measured["roc_auc"] < measured["roc_auc_high"]
    assert measured["max_onnx_difference"] <= model.TOLERANCE
    assert run.data.tags["data_digest"] in run.data.tags["data_uri"]
    pictures = {each.path for each in registry.client.list_artifacts(version.run_id)}
    assert pictures >= {"roc.png", "calibration.png", "confusion_matrix.png", "importance.png", "evaluation.json"}
    noted = json.loads(registry.artifacts(version.run_id, ("software.json",))["software.json"])
    assert ["scikit-learn", importlib.metadata.version("scikit-learn")] in noted["packages"]
    assert noted["code"]["sha256"] == code_sha256()
    mlflow.set_tracking_uri(world.settings.mlflow.tracking_uri)
    place = Path(mlflow.artifacts.download_artifacts(f"models:/{world.name}/2", dst_path=str(tmp_path)))
    signature = mlflow.models.Model.load(place).signature
    assert [each.name for each in signature.inputs] == [*people.NUMERIC, *people.CATEGORICAL]
    loaded = skops.io.load(place / "model.skops", trusted=list(model.TRUSTED_TYPES))
    row = {"Alter": np.float32(30), "select": np.float32(5), "Umsatz €": np.float32(9), "Tarif": "klein"}
    assert loaded.predict_proba(pd.DataFrame([row])).shape == (1, 2)
    # MLflow itself would believe the list of trusted types that the file brings along: it is told not to load.
    with pytest.raises(mlflow.MlflowException, match="Deserializing this model is disallowed"):
        mlflow.sklearn.load_model(f"models:/{world.name}/2")


def test_the_pipeline_is_published_and_found_by_its_name(world: World, trained: TrainedModels) -> None:
    uri, package = published_package(world.tools("any").minio, NAME)
    assert uri == trained.pipeline_uri
    assert package == compile_pipeline(world.settings.kubeflow.image)


def test_a_promotion_changes_no_observation_and_a_lost_version_or_file_does(
    world: World, features: CustomerFeatures, trained: TrainedModels
) -> None:
    tools, fine = world.tools("any"), step5.observe(world.tools("any"))
    first, second = tools.mlflow.versions(world.name)
    tools.mlflow.tag(second, state="champion")
    tools.mlflow.tag(first, state="retired")
    assert step5.observe(tools) == fine
    tools.mlflow.tag(first, state="champion")
    tools.mlflow.tag(second, state="proposed")
    model_key = tools.minio.key(f"{second.uri}/model.onnx")
    kept = tools.minio.get_bytes(model_key)
    tools.minio.delete(model_key)
    assert step5.observe(tools)["lost"] == [second.digest]
    tools.minio.put_bytes(model_key, kept)
    tools.mlflow.client.delete_model_version(world.name, second.version)
    assert step5.observe(tools)["missing"] == [f"{KEY}:gradient_boosting"]
    again = step5.run(here(world, KEY), features)
    assert [each.digest for each in again.versions] == [each.digest for each in trained.versions]
    assert step5.observe(tools) == fine


def test_a_lost_file_of_a_registered_model_is_made_again(world: World, features: CustomerFeatures) -> None:
    tools = world.tools(KEY)
    before = step5.run(here(world, KEY), features)
    key = tools.minio.key(f"{before.versions[0].uri}/model.onnx")
    tools.minio.delete(key)
    assert step5.run(here(world, KEY), features) == before
    assert tools.minio.exists(key)


def test_one_class_only_ends_the_step_as_bad_data_also_across_the_components_process(world: World) -> None:
    frame = people.subscribers(300, seed=5).assign(**{people.LABEL: "Nein"})
    made = step4.run(world.tools("bad"), world.snapshot(frame))
    before = world.tools("any").mlflow.versions(world.name)
    with pytest.raises(InvalidData, match="nobody but class"):
        step5.run(world.tools("one-class"), made)
    assert world.tools("any").mlflow.versions(world.name) == before


def test_fewer_than_a_hundred_rows_end_the_step_as_bad_data(world: World) -> None:
    made = step4.run(world.tools("bad"), world.snapshot(people.subscribers(90)))
    with pytest.raises(InvalidData, match="90 labelled rows"):
        step5.run(here(world, "few-rows"), made)


def test_an_unknown_algorithm_is_a_mistake_of_the_configuration(
    world: World, features: CustomerFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_UC1__ALGORITHMS", '["magic"]')
    with pytest.raises(ConfigError, match=r"uc1\.algorithms names magic"):
        step5.run(here(World(load_settings(), world.directory), "magic"), features)


def test_where_no_model_passes_nothing_becomes_champion_and_the_reasons_are_told(
    world: World, features: CustomerFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:  # over before the components look: a pod knows nothing of it
        patch.setenv("MLOPS_UC1__GATE__MIN_ROC_AUC", "0.999")
        patch.setenv("MLOPS_UC1__MODEL_NAME", f"{world.name}-strict")
        strict = World(load_settings(), world.directory)
    for _ in range(2):
        with pytest.raises(GateRefused, match=r"version 1 \(logistic_regression\) refused: ROC AUC .* below the floor"):
            step5.run(here(strict, "strict"), features)
    versions = strict.tools("any").mlflow.versions(strict.name)
    assert [version.state for version in versions] == ["rejected", "rejected"]
    assert strict.tools("any").mlflow.champion(strict.name) is None


def components(root: Path) -> list[int]:
    """Process ids of running components of pipelines below `root`."""
    found = subprocess.run(["pgrep", "-f", f"executor_main.*{root}"], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


RUN_STEP = """
import sys
from tests.model.conftest import World
from common.config import load_settings
from uc1_churn_prediction.results import CustomerFeatures
from uc1_churn_prediction import uc1_05_model_training_kubeflow as step5
features = CustomerFeatures.model_validate_json(sys.stdin.read())
step5.run(World(load_settings(), None).tools("killed"), features)
"""


@pytest.mark.deep
def test_when_the_step_is_killed_its_components_end_and_a_second_run_gives_the_same_models(
    world: World, features: CustomerFeatures, trained: TrainedModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_UC1__MODEL_NAME", f"{world.name}-killed")
    root = Path(os.environ["MLOPS_STATE_DIR"]) / "pipelines" / "local-killed"
    step = subprocess.Popen([sys.executable, "-c", RUN_STEP], stdin=subprocess.PIPE, text=True)
    assert step.stdin is not None
    step.stdin.write(features.model_dump_json())
    step.stdin.close()
    _wait_for(lambda: bool(components(root)))
    step.send_signal(signal.SIGKILL)
    step.wait()
    _wait_for(lambda: not components(root))
    again = step5.run(World(load_settings(), world.directory).tools("killed"), features)
    assert [each.digest for each in again.versions] == [each.digest for each in trained.versions]
    assert [each.version for each in again.versions] == ["1", "2"]


@pytest.mark.deep
@pytest.mark.parametrize("killed_in", ["record_run", "register"])
def test_a_register_component_that_dies_between_its_effects_is_finished_by_the_next(
    world: World, features: CustomerFeatures, trained: TrainedModels, killed_in: str, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("MLOPS_UC1__MODEL_NAME", f"{world.name}-{killed_in.replace('_', '-')}")
    torn = World(load_settings(), tmp_path)
    _kept_folders(torn, features, tmp_path)
    folders = [str(tmp_path / name) for name in ("frame", "models", "evaluations")]
    original, calls = getattr(Registry, killed_in), []

    def dies_the_second_time(*args: object, **said: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*args, **said)

    with monkeypatch.context() as patch:
        patch.setattr(Registry, killed_in, dies_the_second_time)
        with pytest.raises(KeyboardInterrupt):
            register.run(features.raw.uri, KEY, *folders)
    again = step5.run(here(torn, KEY), features)
    assert [(each.version, each.state) for each in again.versions] == [("1", "champion"), ("2", "proposed")]
    assert [each.digest for each in again.versions] == [each.digest for each in trained.versions]


def _kept_folders(world: World, features: CustomerFeatures, directory: Path) -> None:
    """What the components before `register` hand to it."""
    paths = {name: str(directory / name) for name in ("frame", "models", "evaluations")}
    frame.run(features.raw.uri, features.uri, KEY, paths["frame"])
    train.run(world.settings.uc1.algorithms, KEY, paths["frame"], paths["models"])
    evaluate.run("", KEY, paths["frame"], paths["models"], paths["evaluations"])


def test_a_challenger_is_compared_with_the_champion_on_its_own_holdout(
    world: World, features: CustomerFeatures, trained: TrainedModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_UC1__GATE__MAX_ROC_AUC_DROP", "0")
    monkeypatch.setenv("MLOPS_UC1__MODEL_NAME", f"{world.name}-rival")
    rival = World(load_settings(), world.directory)
    step5.run(here(rival, "first"), features)
    first, second = rival.tools("any").mlflow.versions(rival.name)
    better = max((first, second), key=lambda each: each.metrics["roc_auc"])
    rival.tools("any").mlflow.tag(first, state="retired")
    rival.tools("any").mlflow.tag(second, state="retired")
    rival.tools("any").mlflow.tag(better, state="champion")
    third, fourth = step5.run(here(rival, "second"), features).versions
    worse, equal = sorted((third, fourth), key=lambda each: each.metrics["roc_auc"])
    assert worse.state == "rejected"
    assert "below the champion's" in worse.gate
    assert equal.gate == "passed"
    assert rival.tools("any").mlflow.candidate(rival.name) is None  # the champion's own bytes
    known = {each.version: each.gate_champion for each in rival.tools("any").mlflow.versions(rival.name)}
    assert known == {"1": "", "2": "", third.version: better.digest, fourth.version: better.digest}


def test_a_champion_that_could_not_be_asked_is_not_said_to_have_been_compared_with(
    world: World, features: CustomerFeatures, trained: TrainedModels
) -> None:
    store = world.tools("any").minio
    gone = evaluate.measured_champion(store, store.uri("models/gone"), pd.DataFrame())
    assert (gone.metrics, gone.digest) == (None, "")
    assert "whose file is gone" in gone.notes[0]
    other = evaluate.measured_champion(store, trained.versions[0].uri, pd.DataFrame({"Alter": [1.0]}))
    assert (other.metrics, other.digest) == (None, "")
    assert "which needs" in other.notes[0]


def test_features_that_nobody_gave_are_made_of_the_snapshot(
    world: World, features: CustomerFeatures, tmp_path: Path
) -> None:
    frame.run(features.raw.uri, "", "k", str(tmp_path / "made"))
    frame.run(features.raw.uri, features.uri, "k", str(tmp_path / "given"))
    assert (tmp_path / "made" / "frame.json").read_bytes() == (tmp_path / "given" / "frame.json").read_bytes()
    pd.testing.assert_frame_equal(shared.read_frame(tmp_path / "made")[0], shared.read_frame(tmp_path / "given")[0])


def test_a_components_error_keeps_its_type_and_a_crash_shows_its_last_line(
    world: World, features: CustomerFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = world.tools("any").minio
    pipeline_errors.leave_error(store, "toy", "k", GateRefused("No.", "Try."))
    left = pipeline_errors.left_error(store, "toy", "k")
    assert isinstance(left, GateRefused)
    assert (left.message, left.hint) == ("No.", "Try.")
    assert pipeline_errors.left_error(store, "toy", "other") is None
    gone = features.model_copy(update={"uri": features.uri.replace("features/", "nowhere/")})
    with pytest.raises((StepFailed, InvalidData), match="nowhere"):
        step5.run(world.tools("gone"), gone)


def _wait_for(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_golden_rows_are_json_without_nan(world: World, trained: TrainedModels) -> None:
    store = world.tools("any").minio
    text = store.get_bytes(f"{store.key(trained.versions[0].uri)}/golden.json").decode()
    assert "NaN" not in text
    json.loads(text, parse_constant=pytest.fail)


def test_a_pipeline_that_ended_well_and_registered_nothing_is_a_failure_that_says_where_to_look() -> None:
    with pytest.raises(StepFailed, match=f"{NAME} ended well but registered no model") as raised:
        step5.refuse_unless_one_passed([])
    assert f"logs/{NAME}.log" in raised.value.hint
