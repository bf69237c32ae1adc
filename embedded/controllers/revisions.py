"""From an InferenceService and its ServingRuntime to what has to run: pure functions.

A revision is everything that would need a new process when it changes. Its name carries a digest of that.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]
MODEL_MOUNT = "/mnt/models"
OUR_PROGRAM = ["python", "-m", "serving"]


@dataclass(frozen=True)
class Revision:
    """What one model server serves, and how it is started."""

    service: str
    namespace: str
    runtime: str
    storage_uri: str
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """<service>-predictor-<digest>, as a ReplicaSet would be named."""
        return f"{self.service}-predictor-{hashlib.sha256(self.to_json().encode()).hexdigest()[:8]}"

    @property
    def label(self) -> str:
        """What the server calls itself in metrics, headers and logs: REVISION of the manifest, else our name."""
        return dict(self.environment).get("REVISION") or self.name

    @property
    def digest(self) -> str:
        """The last segment of the storageUri: the sha256 that model.onnx must have."""
        return self.storage_uri.rstrip("/").rpartition("/")[2]

    def to_json(self) -> str:
        """For keeping it across restarts."""
        return json.dumps(vars(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Revision":
        """The inverse of to_json."""
        said = json.loads(text)
        environment = tuple((name, value) for name, value in said.pop("environment"))
        return cls(**{**said, "arguments": tuple(said["arguments"])}, environment=environment)


class InvalidSpec(Exception):
    """The spec asks for something that no server can serve. `reason` is KServe's word for it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


def resolve(service: Document, runtimes: dict[str, Document]) -> Revision:
    """The revision that the InferenceService asks for. Raises InvalidSpec. `runtimes` are those of its namespace."""
    model = service["spec"]["predictor"].get("model")
    if model is None:
        raise InvalidSpec(
            "InvalidPredictorSpec", "Only spec.predictor.model can be served here, not custom containers."
        )
    runtime_name, runtime = _choose_runtime(model, runtimes)
    container = _container(runtime_name, runtime)
    if not model.get("storageUri", "").startswith("s3://"):
        raise InvalidSpec("InvalidPredictorSpec", "spec.predictor.model.storageUri must be an s3:// address.")
    name = service["metadata"]["name"]
    arguments = [*_arguments(runtime_name, container), *model.get("args", [])]
    environment = {**_environment(container), **_environment(model)}
    return Revision(
        name, service["metadata"]["namespace"], runtime_name, model["storageUri"],
        tuple(argument.replace("{{.Name}}", name) for argument in arguments), tuple(sorted(environment.items())),
    )  # fmt: skip


def _choose_runtime(model: Document, runtimes: dict[str, Document]) -> tuple[str, Document]:
    wanted, asked = model["modelFormat"]["name"], model.get("runtime")
    if asked:
        if asked not in runtimes:
            raise InvalidSpec("RuntimeNotRecognized", f'Waiting for runtime "{asked}" to become available')
        if runtimes[asked]["spec"].get("disabled"):
            raise InvalidSpec("RuntimeDisabled", f"specified runtime {asked} is disabled")
        return asked, runtimes[asked]
    protocol = model.get("protocolVersion", "v1")
    for name, runtime in sorted(runtimes.items()):
        if _supports(runtime["spec"], wanted, protocol):
            return name, runtime
    raise InvalidSpec("NoSupportingRuntime", f"no runtime found to support predictor with model type: {wanted}")


def _supports(spec: Document, wanted: str, protocol: str) -> bool:
    formats = [each for each in spec.get("supportedModelFormats", []) if each["name"] == wanted]
    suited = any(each.get("autoSelect") for each in formats) and not spec.get("disabled")
    return suited and protocol in spec.get("protocolVersions", [protocol])


def _container(runtime_name: str, runtime: Document) -> Document:
    for container in runtime["spec"]["containers"]:
        if container["name"] == "kserve-container":
            found: Document = container
            return found
    raise InvalidSpec("RuntimeUnhealthy", f"runtime {runtime_name} has no container named kserve-container")


def _arguments(runtime_name: str, container: Document) -> list[str]:
    """The arguments of our own program: this laptop has no engine to run other images."""
    line = [*container.get("command", []), *container.get("args", [])]
    if line[: len(OUR_PROGRAM)] != OUR_PROGRAM:
        message = f"runtime {runtime_name} does not run `python -m serving`, the only server that can be run here"
        raise InvalidSpec("RuntimeNotRecognized", message)
    return line[len(OUR_PROGRAM) :]


def _environment(part: Document) -> dict[str, str]:
    """Variables with a value. Those from Secrets are left out: credentials come from the platform."""
    return {each["name"]: each["value"] for each in part.get("env", []) if "value" in each}
