"""The kinds that this API server knows: one line each, with a small JSON schema.

The schemas are stricter than the real ones in one point, on purpose: a misspelt field of a spec is refused,
where a real server would drop it in silence.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from embedded.kube import schemas

Schema = dict[str, Any]
Admit = Callable[[dict[str, Any], dict[str, Any] | None], str]


def _admit_all(_new: dict[str, Any], _old: dict[str, Any] | None) -> str:
    return ""


@dataclass(frozen=True)
class Kind:
    """A kind of object. `admit(new, old)` is its admission webhook: a sentence refuses, "" lets pass."""

    group: str
    version: str
    kind: str
    plural: str
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    status_subresource: bool = True
    schema: Schema = field(default_factory=dict, hash=False)
    admit: Admit = field(default=_admit_all, hash=False)

    @property
    def api_version(self) -> str:
        """What stands in an object's apiVersion."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """plural.group, as messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def singular(self) -> str:
        """The lower-case kind."""
        return self.kind.lower()


NAMESPACE = Kind("", "v1", "Namespace", "namespaces", ("ns",), namespaced=False)
INFERENCE_SERVICE = Kind("serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices", ("isvc",),
                         schema=schemas.INFERENCE_SERVICE, admit=schemas.admit_inference_service)  # fmt: skip
SERVING_RUNTIME = Kind("serving.kserve.io", "v1alpha1", "ServingRuntime", "servingruntimes",
                       schema=schemas.SERVING_RUNTIME)  # fmt: skip

# Argo CD writes status and operation on the main resource: it has no /status.
APPLICATION = Kind("argoproj.io", "v1alpha1", "Application", "applications", ("app",), status_subresource=False,
                   schema=schemas.APPLICATION)  # fmt: skip
APP_PROJECT = Kind("argoproj.io", "v1alpha1", "AppProject", "appprojects", status_subresource=False,
                   schema=schemas.APP_PROJECT)  # fmt: skip

KINDS = (
    NAMESPACE,
    INFERENCE_SERVICE,
    SERVING_RUNTIME,
    Kind("iter8.tools", "v2alpha2", "Experiment", "experiments", schema=schemas.EXPERIMENT),
    Kind("iter8.tools", "v2alpha2", "Metric", "metrics", status_subresource=False, schema=schemas.METRIC),
    APPLICATION,
    APP_PROJECT,
)  # fmt: skip

_BY_PATH = {(kind.group, kind.version, kind.plural): kind for kind in KINDS}


def find(group: str, version: str, plural: str) -> Kind | None:
    """The kind behind /apis/<group>/<version>/<plural>, if we serve it."""
    return _BY_PATH.get((group, version, plural))


def group_versions() -> dict[str, list[str]]:
    """Each API group and its versions, in order."""
    found: dict[str, list[str]] = {}
    for kind in KINDS:
        versions = found.setdefault(kind.group, [])
        if kind.group and kind.version not in versions:
            versions.append(kind.version)
    return {group: versions for group, versions in found.items() if group}
