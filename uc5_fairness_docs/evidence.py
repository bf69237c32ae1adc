"""Evidence beside the card: digests of model, data and code, and what was installed, as CycloneDX."""

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from common import software

if TYPE_CHECKING:
    from common.model_versions import Version
    from common.tools import Tools

TRAINING, WRITER = "training", "the environment that wrote the card"


@dataclass(frozen=True)
class Environment:
    """The software as it was `at` a time, of training or, where training left no record, of whoever wrote the card."""

    of: str
    at: datetime
    record: dict[str, Any]


def environment(tools: "Tools", version: "Version") -> Environment:
    """What training noted; of a version that was trained before it noted anything, what runs here and now."""
    noted = tools.mlflow.artifacts(version.run_id, (software.RECORD,)).get(software.RECORD)
    if noted is None:
        return Environment(WRITER, datetime.now(UTC), software.software())
    return Environment(TRAINING, tools.mlflow.run_facts(version.run_id).started_utc, json.loads(noted))


def evidence(tools: "Tools", version: "Version", found: Environment) -> dict[str, Any]:
    """What to check, and against which SHA-256; `of` says whose code it was."""
    snapshot = tools.minio.head(tools.minio.key(version.tags["data_uri"]))
    return {
        "model": {"uri": f"{version.uri}/model.onnx", "sha256": version.digest, "trained_at_key": version.key},
        "data": {
            "uri": version.tags["data_uri"], "sha256": snapshot.sha256 if snapshot else "",
            "content_digest": version.tags.get("data_digest", ""),
        },
        "code": {"of": found.of, **found.record["code"]},
        "requirements_lock": {"of": found.of, "sha256": found.record["requirements_lock_sha256"]},
        "python": {"of": found.of, "version": found.record["python"]},
    }  # fmt: skip


def bill_of_materials(name: str, digest: str, found: Environment) -> bytes:
    """Every installed distribution as CycloneDX 1.6; the same environment gives the same bytes.

    They are dependencies of the model only where it is the environment that trained it.
    """
    from cyclonedx.model import Property
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    described = Component(name=name, version=digest[:12], type=ComponentType.MACHINE_LEARNING_MODEL, bom_ref="model")
    trained = found.of == TRAINING
    about = [Property(name="environment", value=found.of)]
    bom = Bom(metadata=BomMetaData(timestamp=found.at, component=described if trained else None, properties=about))
    for package, version in found.record["packages"]:
        url = PackageURL("pypi", None, package.lower().replace("_", "-"), version)
        bom.components.add(Component(name=package, version=version, purl=url, bom_ref=str(url)))
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, f"{digest} {found}")
    if trained:
        bom.register_dependency(described, bom.components)
    return json.dumps(json.loads(JsonV1Dot6(bom).output_as_string()), indent=1, sort_keys=True).encode()
