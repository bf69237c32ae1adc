"""An InferenceService's status, in the fields that KServe's own controller writes: pure functions."""

from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """Why the wanted revision is not served. `reason` is one of KServe's."""

    reason: str
    message: str
    exit_code: int = 0


@dataclass(frozen=True)
class Observed:
    """What the controller sees of one InferenceService."""

    mode: str
    generation: int
    runtime: str = ""
    url: str = ""
    serving: str = ""
    """Name of the revision that answers at `url`; "" while none does."""
    wanted: str = ""
    """Name of the revision that the spec asks for; "" for a spec that asks for nothing servable."""
    failure: Failure | None = None


def status(seen: Observed, before: Document, now: str) -> Document:
    """The status to write; times of conditions that did not change are kept from `before`."""
    document: Document = {
        "observedGeneration": seen.generation, "deploymentMode": seen.mode,
        "components": {"predictor": _predictor(seen)}, "modelStatus": _model_status(seen),
        "conditions": _timed(_conditions(seen), before.get("conditions", []), now),
    }  # fmt: skip
    if seen.runtime:
        document["servingRuntimeName"] = seen.runtime
    if seen.serving:
        document |= {"url": seen.url, "address": {"url": seen.url}}
    return document


def _predictor(seen: Observed) -> Document:
    predictor: Document = {"url": seen.url} if seen.serving else {}
    if seen.mode != "Knative":
        return predictor
    if seen.wanted:
        predictor["latestCreatedRevision"] = seen.wanted
    if seen.serving:
        latest = seen.serving == seen.wanted
        traffic = [{"revisionName": seen.serving, "percent": 100, "latestRevision": latest}]
        predictor |= {
            "latestReadyRevision": seen.serving,
            "latestRolledoutRevision": seen.serving,
            "traffic": traffic,
        }
    return predictor


def _model_status(seen: Observed) -> Document:
    current = bool(seen.serving) and seen.serving == seen.wanted
    active = "Loaded" if seen.serving else ""
    copies = {"failedCopies": 0, "totalCopies": 1 if seen.serving else 0}
    if seen.failure is None:
        target = "Loaded" if current else "Loading"
        transition = "UpToDate" if current else "InProgress"
        return {"copies": copies, "states": _states(active, target), "transitionStatus": transition}
    invalid = not seen.wanted
    failure = {"reason": seen.failure.reason, "message": seen.failure.message}
    if seen.failure.exit_code:
        failure["exitCode"] = seen.failure.exit_code  # type: ignore[assignment]
    return {
        "copies": {**copies, "failedCopies": 0 if invalid else 1},
        "states": _states(active, "" if invalid else "FailedToLoad"),
        "lastFailureInfo": failure,
        "transitionStatus": "InvalidSpec" if invalid else "BlockedByFailedLoad",
    }


def _states(active: str, target: str) -> Document:
    return {"activeModelState": active, "targetModelState": target}


def _conditions(seen: Observed) -> list[Document]:
    """Ready follows from PredictorReady and IngressReady, which follow from what answers, not from what is wanted."""
    if seen.serving:
        conditions = [_condition(name, "True") for name in ("IngressReady", "PredictorReady", "Ready")]
    else:
        why = _why_not_ready(seen)
        conditions = [_condition("IngressReady", "False", {"reason": "Predictor ingress not created"})]
        conditions += [_condition(name, "False", why) for name in ("PredictorReady", "Ready")]
    if seen.mode == "Knative":
        routed = "True" if seen.serving else "False"
        latest = "True" if seen.serving and seen.serving == seen.wanted else "False"
        info = {"severity": "Info"}
        conditions += [_condition(name, routed, info) for name in ("PredictorRouteReady", "RoutesReady")]
        conditions += [
            _condition(name, latest, info) for name in ("LatestDeploymentReady", "PredictorConfigurationReady")
        ]
    return [*conditions, _condition("Stopped", "False", {"severity": "Info"})]


def _why_not_ready(seen: Observed) -> Document:
    if seen.failure is not None:
        return {"reason": seen.failure.reason, "message": seen.failure.message}
    return {
        "reason": "MinimumReplicasUnavailable",
        "message": "Deployment does not have minimum availability.",
    }


def _condition(name: str, value: str, more: Document | None = None) -> Document:
    return {"type": name, "status": value, **(more or {})}


def _timed(conditions: list[Document], before: list[Document], now: str) -> list[Document]:
    old = {each["type"]: each for each in before}
    timed = []
    for condition in conditions:
        known = old.get(condition["type"], {})
        unchanged = known.get("status") == condition["status"] and "lastTransitionTime" in known
        timed.append({**condition, "lastTransitionTime": known["lastTransitionTime"] if unchanged else now})
    return sorted(timed, key=lambda condition: str(condition["type"]))
