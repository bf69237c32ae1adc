"""What we ask KServe for, as data: pure functions that return manifests, and that read what others made of them."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from common import names
from common.settings import Kserve, Minio
from common.uris import model_uri

Document = dict[str, Any]
MODE = "serving.kserve.io/deploymentMode"
VERSION_LABEL, MODEL_LABEL = "mlops/version", "mlops/model"
DIGEST_NOTE, KEY_NOTE = "mlops/digest", "mlops/key"
CANARY_VERSION_NOTE, CANARY_DIGEST_NOTE = "mlops/canary-version", "mlops/canary-digest"
CONCLUDED_NOTE = "mlops/concluded"
CREDENTIALS_SECRET = "mlops-object-store"  # noqa: S105 - the name of a Secret, not a secret
PORT = 8080
# By these the chart of Prometheus finds a pod; KServe copies them from the ServingRuntime to every pod, a canary's too.
SCRAPED = {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT), "prometheus.io/path": "/metrics"}


@dataclass(frozen=True)
class Deployment:
    """A model version to serve. `digest` is the sha256 of its ONNX file, `uri` the folder named by it."""

    model_name: str
    namespace: str
    version: str
    digest: str
    uri: str
    key: str = ""

    @property
    def service(self) -> str:
        """Name of the InferenceService, which is also the model's name in URLs."""
        return service_name(self.model_name)

    @property
    def place(self) -> str:
        """namespace/name, for messages."""
        return f"{self.namespace}/{self.service}"


def checked(wanted: Deployment, schemes: Collection[str], buckets: Collection[str]) -> Deployment:
    """The deployment, every name and address of it held against what it may be: they are a registry's tags.

    Raises BadName (65), before a manifest has any of them.
    """
    names.model_name(wanted.model_name)
    names.dns_label(wanted.namespace, "The namespace")
    names.dns_label(wanted.service, "The service's name")
    names.version(wanted.version)
    names.digest(wanted.digest, "The model's digest")
    model_uri(wanted.uri, wanted.digest, schemes, buckets)
    return wanted


@dataclass(frozen=True)
class Canary:
    """A version to serve beside the champion, to so many percent of the requests; `faults` to inject into it."""

    deployment: Deployment
    percent: int
    faults: str = ""


@dataclass(frozen=True)
class LiveCanary:
    """The canary that a service has, with its share; `version` and `digest` are "" where others wrote it."""

    version: str
    digest: str
    uri: str
    percent: int
    faults: str = ""


def revision_name(version: str) -> str:
    """v<version>: how metrics, logs and experiments name what answers."""
    return f"v{version}"


def service_name(model_name: str) -> str:
    """The model's name as KServe allows it: lower case, digits and dashes, a letter first."""
    name = re.sub(r"[^a-z0-9]+", "-", model_name.lower()).strip("-")
    return name if name[:1].isalpha() else f"m-{name}"


def serving_runtime(namespace: str, kserve: Kserve, minio: Minio) -> Document:
    """The ServingRuntime that runs our model server for ONNX models."""
    arguments = ["--model_name={{.Name}}", "--model_dir=/mnt/models", f"--http_port={PORT}", "--host=0.0.0.0"]
    container = {
        "name": "kserve-container", "image": kserve.image, "command": ["python", "-m", "serving"], "args": arguments,
        "env": _environment(minio), "ports": [{"containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/v2/models/{{.Name}}/ready", "port": PORT}, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "250m", "memory": "384Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "runAsNonRoot": True,
                            "capabilities": {"drop": ["ALL"]}},
    }  # fmt: skip
    return {
        "apiVersion": "serving.kserve.io/v1alpha1", "kind": "ServingRuntime",
        "metadata": {"name": kserve.runtime, "namespace": namespace},
        "spec": {
            "annotations": dict(SCRAPED), "protocolVersions": ["v1", "v2"], "containers": [container],
            "supportedModelFormats": [{"name": "onnx", "version": "1", "autoSelect": True}],
        },
    }  # fmt: skip


def _environment(minio: Minio) -> list[Document]:
    """One thread for each model: several only wait for each other. The prediction log needs the object store."""
    plain = {"OMP_NUM_THREADS": "1", "AWS_ENDPOINT_URL": minio.url, "AWS_DEFAULT_REGION": minio.region}
    referred = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": CREDENTIALS_SECRET, "key": name, "optional": True}}}
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    ]
    return [*({"name": name, "value": value} for name, value in plain.items()), *referred]


def inference_service(wanted: Deployment, kserve: Kserve, minio: Minio, canary: Canary | None = None) -> Document:
    """The InferenceService that serves one version, and beside it a canary in the form of the deployment mode.

    Its own labels and annotations stay the champion's while a canary runs: KServe copies them to every pod, so that a
    change would restart the champion.
    """
    predictor: Document = {"model": _model(wanted, kserve, minio)}
    if kserve.service_account:
        predictor["serviceAccountName"] = kserve.service_account
    if kserve.deployment_mode == "Standard":
        # A canary is promoted without a restart by taking over its name, so versions are named from the start.
        predictor["name"] = revision_name(wanted.version)
    notes = {MODE: kserve.deployment_mode, DIGEST_NOTE: wanted.digest, KEY_NOTE: wanted.key}
    labels = {MODEL_LABEL: wanted.service, VERSION_LABEL: wanted.version}
    document: Document = {
        "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
        "metadata": {"name": wanted.service, "namespace": wanted.namespace, "labels": labels, "annotations": notes},
        "spec": {"predictor": predictor},
    }  # fmt: skip
    if canary is not None:
        join = _join_standard if kserve.deployment_mode == "Standard" else _join_knative
        join(document, canary, _model(canary.deployment, kserve, minio, canary.faults))
    return document


def _model(wanted: Deployment, kserve: Kserve, minio: Minio, faults: str = "") -> Document:
    log_uri = f"s3://{minio.bucket}/{kserve.prediction_log_prefix}/{wanted.namespace}/{wanted.service}"
    plain = {"PREDICTION_LOG_URI": log_uri, "REVISION": revision_name(wanted.version)}
    plain |= {"FAULTS": faults} if faults else {}
    return {
        "modelFormat": {"name": "onnx"}, "runtime": kserve.runtime, "protocolVersion": "v1",
        "storageUri": wanted.uri, "env": [{"name": name, "value": value} for name, value in plain.items()],
    }  # fmt: skip


def _join_standard(document: Document, canary: Canary, model: Document) -> None:
    """`spec.canary`: a Deployment of its own. Promoted, its pods keep every label, so that none restarts."""
    document["spec"]["canary"] = [{
        "trafficPercent": canary.percent,
        "predictor": {
            # Without minReplicas KServe ends the canary's pods at 0 percent, before their traffic is led away.
            "name": revision_name(canary.deployment.version), "minReplicas": 1,
            "model": {"name": "kserve-container", **model},
            "labels": {VERSION_LABEL: canary.deployment.version},
            "annotations": {DIGEST_NOTE: canary.deployment.digest},
        },
    }]  # fmt: skip


def _join_knative(document: Document, canary: Canary, model: Document) -> None:
    """`canaryTrafficPercent`: the predictor becomes the canary's, and the revision before it keeps the rest."""
    document["spec"]["predictor"] |= {"model": model, "canaryTrafficPercent": canary.percent}
    document["metadata"]["annotations"] |= canary_notes(canary)


def canary_notes(canary: Canary) -> dict[str, str]:
    """Who the canary is, where it stands in the champion's place."""
    return {CANARY_VERSION_NOTE: canary.deployment.version, CANARY_DIGEST_NOTE: canary.deployment.digest}


def has_canary(service: Document) -> bool:
    """True until the service has one version again, in either of KServe's two forms; also at 0 and at 100 percent."""
    percent = service["spec"]["predictor"].get("canaryTrafficPercent", 100)
    return bool(service["spec"].get("canary")) or percent < 100 or CANARY_VERSION_NOTE in _notes(service)


def live_canary(service: Document) -> LiveCanary | None:
    """The canary of an InferenceService, or None."""
    if not has_canary(service):
        return None
    entries = service["spec"].get("canary")
    if entries:
        predictor, percent = entries[0]["predictor"], entries[0].get("trafficPercent", 0)
        named = re.fullmatch(r"v(\d+)", predictor.get("name", ""))
        version, digest = named[1] if named else "", predictor.get("annotations", {}).get(DIGEST_NOTE, "")
    else:
        predictor, notes = service["spec"]["predictor"], _notes(service)
        percent = predictor.get("canaryTrafficPercent", 100)
        version, digest = notes.get(CANARY_VERSION_NOTE, ""), notes.get(CANARY_DIGEST_NOTE, "")
    model = predictor.get("model", {})
    faults = next((each.get("value", "") for each in model.get("env", []) if each["name"] == "FAULTS"), "")
    return LiveCanary(version, digest, model.get("storageUri", ""), percent, faults)


def champion_digest(service: Document) -> str:
    """Digest of the version that is not the canary, as `deploy` noted it; "" where somebody else wrote the service."""
    return str(_notes(service).get(DIGEST_NOTE, ""))


def _notes(service: Document) -> Document:
    notes: Document = service.get("metadata", {}).get("annotations") or {}
    return notes


def differences(declared: Any, live: Any, path: str = "") -> list[str]:
    """Paths at which the live object is not as declared. What others added, defaults for example, is no difference."""
    if isinstance(declared, dict) and isinstance(live, dict):
        return [
            found for key, value in declared.items() if f"{path}.{key}" != f".metadata.annotations.{KEY_NOTE}"
            for found in differences(value, live.get(key), f"{path}.{key}")
        ]  # fmt: skip
    if isinstance(declared, list) and isinstance(live, list) and len(declared) == len(live):
        pairs = enumerate(zip(declared, live, strict=True))
        return [found for at, (one, other) in pairs for found in differences(one, other, f"{path}[{at}]")]
    return [] if declared == live else [path]


def is_undecided(experiment: Document) -> bool:
    """True for an Experiment that has not ended: no Completed or Failed condition holds.

    One whose verdict we carried out has ended too, although an Iter8 controller may still work on it.
    """
    if CONCLUDED_NOTE in _notes(experiment):
        return False
    conditions = experiment.get("status", {}).get("conditions", [])
    return not any(each["type"] in ("Completed", "Failed") and each["status"] == "True" for each in conditions)
