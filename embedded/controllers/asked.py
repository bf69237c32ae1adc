"""What an InferenceService asks for: a revision, and what to try beside it. Pure functions.

In Standard mode a canary is an entry of spec.canary: the predictor with some fields changed. In Knative mode the
predictor itself is the new revision, and canaryTrafficPercent its share.
"""

from dataclasses import dataclass
from typing import Any

from embedded.controllers.revisions import InvalidSpec, Revision, resolve
from embedded.controllers.status import Failure
from embedded.kube.schemas import deployment_mode

Document = dict[str, Any]


@dataclass(frozen=True)
class CanaryAsked:
    """An entry of spec.canary; `revision` is None where it cannot be served, and `failure` says why."""

    name: str
    percent: int
    revision: Revision | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Asked:
    """What the spec says. `percent` is Knative's canaryTrafficPercent, None where it is not set."""

    mode: str
    revision: Revision | None
    failure: Failure | None = None
    percent: int | None = None
    canaries: tuple[CanaryAsked, ...] = ()

    @property
    def canary(self) -> CanaryAsked | None:
        """The one entry that can be served here."""
        return next((each for each in self.canaries if each.revision), None)


def ask(service: Document, runtimes: dict[str, Document]) -> Asked:
    """Read an InferenceService. `runtimes` are those of its namespace."""
    mode, spec = deployment_mode(service), service["spec"]
    revision, failure = _resolved(service, runtimes)
    percent = spec["predictor"].get("canaryTrafficPercent") if mode == "Knative" else None
    canaries = [_canary(service, entry, runtimes) for entry in spec.get("canary", [])]
    return Asked(mode, revision, failure, percent, tuple(canaries))


def _canary(service: Document, entry: Document, runtimes: dict[str, Document]) -> CanaryAsked:
    name, percent = str(entry["predictor"].get("name", "")), int(entry["trafficPercent"])
    count = len(service["spec"]["canary"])
    if count > 1:
        message = f"spec.canary has {count} entries; only one canary at a time can be served here"
        return CanaryAsked(name, percent, failure=Failure("InvalidPredictorSpec", message))
    merged = _merged(service["spec"]["predictor"], entry["predictor"])
    revision, failure = _resolved({**service, "spec": {"predictor": merged}}, runtimes)
    return CanaryAsked(name, percent, revision, failure)


def _resolved(service: Document, runtimes: dict[str, Document]) -> tuple[Revision | None, Failure | None]:
    try:
        return resolve(service, runtimes), None
    except InvalidSpec as problem:
        return None, Failure(problem.reason, problem.message)


def _merged(below: Any, above: Any, key: str = "") -> Any:
    """A strategic merge: maps field by field, variables by their names; every other list is replaced."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{name: _merged(below.get(name), value, name) for name, value in above.items()}}
    if key == "env" and isinstance(below, list):
        return list({each["name"]: each for each in (*below, *above)}.values())
    return above
