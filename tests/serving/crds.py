"""The real CustomResourceDefinitions, where they lie beside this clone, as strict JSON schemas."""

import functools
from typing import Any

import jsonschema
import pytest
import yaml

from common.paths import ROOT

Document = dict[str, Any]
FOLDER = ROOT.parent / "shared" / "crds"
FILES = {
    "InferenceService": "kserve/serving.kserve.io_inferenceservices.yaml",
    "ServingRuntime": "kserve/full__serving.kserve.io_servingruntimes.yaml",
    "Experiment": "iter8/iter8.tools_experiments.v2alpha2.yaml",
    "Metric": "iter8/iter8.tools_metrics.v2alpha2.yaml",
    "Application": "argocd/application-crd.v3.5.1.yaml",
    "AppProject": "argocd/appproject-crd.v3.5.1.yaml",
}


def complaints(document: Document) -> list[str]:
    """What the real CRD finds wrong with an object: unknown fields too. Skips the test where the CRDs are absent."""
    if not FOLDER.is_dir():
        pytest.skip(f"the real CRDs are not here: {FOLDER} is absent")
    errors = _validator(document["kind"]).iter_errors(document)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in errors]


@functools.cache
def _validator(kind: str) -> jsonschema.Draft202012Validator:
    definition = yaml.load((FOLDER / FILES[kind]).read_text(), yaml.CSafeLoader)
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return jsonschema.Draft202012Validator(_strict(schema))


def _strict(schema: Any) -> Any:
    """The same schema with unknown fields refused, and Kubernetes' own extensions said in JSON Schema."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        pattern = {"pattern": schema["pattern"]} if "pattern" in schema else {}
        return {"type": ["integer", "string"], **pattern}
    strict = {key: _strict(value) for key, value in schema.items() if key != "properties"}
    if "properties" in schema:
        strict["properties"] = {name: _strict(value) for name, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            strict.setdefault("additionalProperties", False)
    return strict
