"""What we ask KServe for, as data: pure functions that return manifests, and that read what others made of them."""

import re
from dataclasses import dataclass
from typing import Any

from common.settings import Kserve, Minio

Document = dict[str, Any]
MODE = "serving.kserve.io/deploymentMode"
VERSION_LABEL, MODEL_LABEL = "mlops/version", "mlops/model"
DIGEST_NOTE, KEY_NOTE = "mlops/digest", "mlops/key"
CREDENTIALS_SECRET = "mlops-object-store"  # noqa: S105 - the name of a Secret, not a secret
PORT = 8080


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
            "supportedModelFormats": [{"name": "onnx", "version": "1", "autoSelect": True}],
            "protocolVersions": ["v1", "v2"], "containers": [container],
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


def inference_service(wanted: Deployment, kserve: Kserve, minio: Minio) -> Document:
    """The InferenceService that serves one version and no canary."""
    log_uri = f"s3://{minio.bucket}/{kserve.prediction_log_prefix}/{wanted.namespace}/{wanted.service}"
    predictor: Document = {
        "model": {
            "modelFormat": {"name": "onnx"}, "runtime": kserve.runtime, "protocolVersion": "v1",
            "storageUri": wanted.uri, "env": [{"name": "PREDICTION_LOG_URI", "value": log_uri}],
        },
    }  # fmt: skip
    if kserve.service_account:
        predictor["serviceAccountName"] = kserve.service_account
    if kserve.deployment_mode == "Standard":
        # A canary is promoted without a restart by taking over its name, so versions are named from the start.
        predictor["name"] = f"v{wanted.version}"
    notes = {MODE: kserve.deployment_mode, DIGEST_NOTE: wanted.digest, KEY_NOTE: wanted.key}
    labels = {MODEL_LABEL: wanted.service, VERSION_LABEL: wanted.version}
    return {
        "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
        "metadata": {"name": wanted.service, "namespace": wanted.namespace, "labels": labels, "annotations": notes},
        "spec": {"predictor": predictor},
    }  # fmt: skip


def has_canary(service: Document) -> bool:
    """True while a part of the traffic goes to another version, in either of KServe's two forms."""
    percent = service["spec"]["predictor"].get("canaryTrafficPercent", 100)
    return bool(service["spec"].get("canary")) or percent < 100


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
    """True for an Experiment that has not ended: no Completed or Failed condition holds."""
    conditions = experiment.get("status", {}).get("conditions", [])
    return not any(each["type"] in ("Completed", "Failed") and each["status"] == "True" for each in conditions)
