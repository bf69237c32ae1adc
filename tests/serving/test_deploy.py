"""The images hold what they need: sources that exist, and no package missing from the serving image."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import common.code_version
import common.lineage
from common.paths import ROOT

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()


def copied() -> list[str]:
    """Every source of a COPY."""
    lines = re.findall(r"^COPY (.+)$", DOCKERFILE, re.M)
    return [source for line in lines for source in line.split()[:-1]]


def test_every_copied_source_exists_and_is_let_through_to_the_build() -> None:
    ignored = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert [source for source in copied() if not (ROOT / source).exists()] == []
    assert {source.rstrip("/") for source in copied()} == allowed


def test_the_steps_image_holds_every_package_of_the_project() -> None:
    stage = DOCKERFILE.partition("AS steps")[2]
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert {name for name in packages if f"COPY {name}/ {name}/" not in stage} == set()


def test_both_targets_run_as_an_ordinary_user() -> None:
    stages = re.split(r"^FROM base AS ", DOCKERFILE, flags=re.M)[1:]
    assert [stage.split()[0] for stage in stages] == ["serving", "steps"]
    assert all("USER 10001" in stage for stage in stages)


def test_an_image_says_which_commit_it_was_built_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = DOCKERFILE.partition("AS steps")[2]
    assert 'ARG COMMIT=""\nENV MLOPS_COMMIT=$COMMIT' in stage
    for module in (common.code_version, common.lineage):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setenv("MLOPS_COMMIT", "c0ffee" * 6 + "c0ff")
    assert common.code_version.code_version.__wrapped__() == "c0ffeec0ffee"
    assert common.lineage.code_version() == {"commit": "c0ffee" * 6 + "c0ff", "repository": ""}


def test_git_is_reached_from_pods_as_their_image_can() -> None:
    ports = yaml.safe_load_all((ROOT / "deploy/k8s/base/network-policies.yaml").read_text())
    (outside,) = [each["spec"]["egress"] for each in ports if each["metadata"]["name"] == "outside"]
    allowed = {port["port"] for rule in outside for port in rule["ports"]}
    assert ("openssh-client" in DOCKERFILE) == (22 in allowed)


IMPORT_WITHOUT = """
import sys
absent = set(sys.argv[1].split())
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import serving.server, serving.metrics, serving.artefact, serving.prediction_log, onnxruntime, boto3, pyarrow.parquet
"""


@pytest.mark.deep
def test_the_server_runs_with_the_packages_of_the_serving_image_alone() -> None:
    lines = (ROOT / "deploy" / "requirements-serving.txt").read_text().splitlines()
    installed = _closure({line for line in lines if line and not line.startswith("#")})
    ours = {"common", "churn", "serving"}
    modules = metadata.packages_distributions()
    absent = {name for name, found in modules.items() if not installed & {_canonical(each) for each in found}} - ours
    assert {"mlflow", "sklearn", "feast"} < absent
    command = [sys.executable, "-c", IMPORT_WITHOUT, " ".join(absent)]
    imported = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert imported.returncode == 0, imported.stderr


def _closure(names: set[str]) -> set[str]:
    """These distributions and everything they require."""
    found: set[str] = set()
    waiting = [Requirement(name) for name in names]
    while waiting:
        requirement = waiting.pop()
        name = _canonical(requirement.name)
        if name in found:
            continue
        found.add(name)
        for line in metadata.requires(name) or []:
            inner = Requirement(line)
            if inner.marker is None or any(
                inner.marker.evaluate({"extra": each}) for each in ("", *requirement.extras)
            ):
                waiting.append(inner)
    return found


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
