"""The deployments repository's files for one environment: pure functions from a version to base and overlay.

base/                          what is the same everywhere: that there is one service, and who serves it first
overlays/production/           the namespace, and patches with everything of the version that is there
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from common.serving_manifests import (
    DIGEST_NOTE,
    KEY_NOTE,
    VERSION_LABEL,
    Deployment,
    inference_service,
    serving_runtime,
)
from common.settings import Kserve, Minio

Document = dict[str, Any]
BASE = "base"
RUNTIME, SERVICE, KUSTOMIZATION = "serving-runtime.yaml", "inference-service.yaml", "kustomization.yaml"
WAVE = {"argocd.argoproj.io/sync-wave": "-1"}  # the runtime is there before the service asks for it


@dataclass(frozen=True)
class Declared:
    """The version that an overlay deploys."""

    version: str
    digest: str
    uri: str


def folder(environment: str) -> str:
    """Where an environment's overlay lies."""
    return f"overlays/{environment}"


def files(wanted: Deployment, environment: str, kserve: Kserve, minio: Minio) -> dict[str, str]:
    """The overlay that deploys this version."""
    service, runtime = _service(wanted, kserve, minio), _runtime(wanted, kserve, minio)
    kustomization = {
        **_kustomization([f"../../{BASE}"]),
        "namespace": wanted.namespace,
        "patches": [{"path": RUNTIME}, {"path": SERVICE}],
    }
    documents = {KUSTOMIZATION: kustomization, RUNTIME: runtime, SERVICE: service}
    return {f"{folder(environment)}/{name}": as_yaml(document) for name, document in documents.items()}


def base_files(wanted: Deployment, kserve: Kserve, minio: Minio, there: Mapping[str, str]) -> dict[str, str]:
    """The base where it is missing, or is about other names; else it is left as people have made it."""
    runtime, service = _runtime(wanted, kserve, minio), _service(wanted, kserve, minio)
    formats, model = runtime["spec"]["supportedModelFormats"], service["spec"]["predictor"]["model"]
    common = {"modelFormat": model["modelFormat"], "protocolVersion": model["protocolVersion"]}
    documents = {
        f"{BASE}/{RUNTIME}": {
            **_head(runtime), "metadata": {"name": kserve.runtime, "annotations": WAVE},
            "spec": {"supportedModelFormats": formats, "containers": [{"name": "kserve-container"}]},
        },
        f"{BASE}/{SERVICE}": {
            **_head(service), "metadata": {"name": wanted.service}, "spec": {"predictor": {"model": common}},
        },
    }  # fmt: skip
    written = {path: as_yaml(each) for path, each in documents.items() if _name(there.get(path)) != _named(each)}
    if f"{BASE}/{KUSTOMIZATION}" not in there:
        written[f"{BASE}/{KUSTOMIZATION}"] = as_yaml(_kustomization([RUNTIME, SERVICE]))
    return written


def declared(there: Mapping[str, str], environment: str) -> Declared | None:
    """What the overlay deploys; None where there is no overlay. What is not ours reads as empty strings."""
    text = there.get(f"{folder(environment)}/{SERVICE}")
    if text is None:
        return None
    document = _loaded(text)
    metadata, model = document.get("metadata", {}), document.get("spec", {}).get("predictor", {}).get("model", {})
    return Declared(
        str(metadata.get("labels", {}).get(VERSION_LABEL, "")),
        str(metadata.get("annotations", {}).get(DIGEST_NOTE, "")),
        str(model.get("storageUri", "")),
    )


def as_yaml(document: Document) -> str:
    """The document as people read it, and as it comes back: no anchors, keys in our order."""
    return yaml.safe_dump(document, sort_keys=False, width=120)


def _service(wanted: Deployment, kserve: Kserve, minio: Minio) -> Document:
    """Without a namespace, which is the overlay's; without a step's key: the same version is the same file."""
    document = inference_service(wanted, kserve, minio)
    document["metadata"].pop("namespace")
    document["metadata"]["annotations"].pop(KEY_NOTE)
    return document


def _runtime(wanted: Deployment, kserve: Kserve, minio: Minio) -> Document:
    document = serving_runtime(wanted.namespace, kserve, minio)
    document["metadata"].pop("namespace")
    return document


def _kustomization(resources: list[str]) -> Document:
    return {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": resources}


def _head(document: Document) -> Document:
    return {key: document[key] for key in ("apiVersion", "kind")}


def _name(text: str | None) -> tuple[str, str]:
    return _named(_loaded(text)) if text is not None else ("", "")


def _named(document: Document) -> tuple[str, str]:
    return str(document.get("kind", "")), str(document.get("metadata", {}).get("name", ""))


def _loaded(text: str) -> Document:
    """A manifest; {} for what is none: others write to this repository too."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return document if isinstance(document, dict) else {}
