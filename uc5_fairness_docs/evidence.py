"""Evidence beside the card: digests of model, data and code, and what was installed, as CycloneDX."""

import hashlib
import json
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from common.keys import PACKAGES, lock_digest
from common.paths import ROOT

if TYPE_CHECKING:
    from common.model_versions import Version
    from common.tools import Tools


def evidence(tools: "Tools", version: "Version") -> dict[str, Any]:
    """What to check, and against which SHA-256."""
    snapshot = tools.minio.head(tools.minio.key(version.tags["data_uri"]))
    return {
        "model": {"uri": f"{version.uri}/model.onnx", "sha256": version.digest},
        "data": {
            "uri": version.tags["data_uri"], "sha256": snapshot.sha256 if snapshot else "",
            "content_digest": version.tags.get("data_digest", ""),
        },
        "code": {"packages": ["common", *PACKAGES], "sha256": code_sha256(), "trained_at_key": version.key},
        "requirements_lock": {"sha256": lock_digest()},
    }  # fmt: skip


def code_sha256() -> str:
    """One digest of every Python file of ours, by path and content."""
    hashed = hashlib.sha256()
    for package in ("common", *PACKAGES):
        for path in sorted((ROOT / package).rglob("*.py")):
            hashed.update(
                f"{path.relative_to(ROOT).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()
            )
    return hashed.hexdigest()


def bill_of_materials(name: str, digest: str, at: datetime) -> bytes:
    """Every installed distribution as CycloneDX 1.6; the same environment gives the same bytes."""
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    described = Component(name=name, version=digest[:12], type=ComponentType.MACHINE_LEARNING_MODEL, bom_ref="model")
    bom = Bom(metadata=BomMetaData(timestamp=at, component=described))
    for package, version in installed():
        url = PackageURL("pypi", None, package.lower().replace("_", "-"), version)
        bom.components.add(Component(name=package, version=version, purl=url, bom_ref=str(url)))
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, f"{digest} {installed()}")
    bom.register_dependency(described, bom.components)
    return json.dumps(json.loads(JsonV1Dot6(bom).output_as_string()), indent=1, sort_keys=True).encode()


def installed() -> list[tuple[str, str]]:
    """Name and version of every distribution that this interpreter finds."""
    from importlib.metadata import distributions

    return sorted({(each.name, each.version) for each in distributions() if each.name})
