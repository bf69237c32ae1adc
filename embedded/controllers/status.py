"""An InferenceService's status, in the fields that KServe's own controller writes: pure functions."""

from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """Why a revision is not served. `reason` is one of KServe's."""

    reason: str
    message: str
    exit_code: int = 0


@dataclass(frozen=True)
class CanarySeen:
    """A canary: by its name in the spec (Standard), or by its revision's (Knative). `percent` is what it gets now."""

    name: str
    ready: bool
    percent: int
    failure: Failure | None = None
    is_valid: bool = True


@dataclass(frozen=True)
class Observed:
    """What the controller sees of one InferenceService."""

    mode: str
    generation: int
    runtime: str = ""
    url: str = ""
    serving: str = ""
    """Name of the champion's revision while it answers at `url`, else ""."""
    wanted: str = ""
    """Name of the revision that the spec asks for; "" for a spec that asks for nothing servable."""
    failure: Failure | None = None
    champion: str = ""
    """Name of the champion's revision, also while its server is started again."""
    rolled_out: str = ""
    previous: str = ""
    canaries: tuple[CanarySeen, ...] = ()
    door_failure: str = ""

    @property
    def is_current(self) -> bool:
        """Does the revision that the spec asks for run? In Knative mode it may be the canary."""
        running = {self.serving} | {each.name for each in self.canaries if each.ready and self.mode == "Knative"}
        return bool(self.wanted) and self.wanted in running


def status(seen: Observed, before: Document, now: str) -> Document:
    """The status to write; times of conditions that did not change are kept from `before`."""
    document: Document = {
        "observedGeneration": seen.generation, "deploymentMode": seen.mode,
        "components": {"predictor": _predictor(seen)},
        "modelStatus": _model_status(bool(seen.serving), seen.is_current, seen.failure, bool(seen.wanted)),
        "conditions": _timed(_conditions(seen), before.get("conditions", []), now),
    }  # fmt: skip
    if seen.runtime:
        document["servingRuntimeName"] = seen.runtime
    if seen.champion:
        document |= {"url": seen.url, "address": {"url": seen.url}}
    if seen.canaries and seen.mode == "Standard":
        document["canaryStatuses"] = [_canary_status(each) for each in seen.canaries]
    return document


def _canary_status(canary: CanarySeen) -> Document:
    model = _model_status(canary.ready, canary.ready, canary.failure, canary.is_valid)
    return {"name": canary.name, "ready": canary.ready, "trafficPercent": canary.percent, "modelStatus": model}


def _predictor(seen: Observed) -> Document:
    predictor: Document = {"url": seen.url} if seen.champion else {}
    if seen.mode != "Knative":
        return predictor
    names = {
        "latestCreatedRevision": seen.wanted, "latestRolledoutRevision": seen.rolled_out,
        "latestReadyRevision": seen.canaries[0].name if seen.canaries else seen.champion,
        "previousRolledoutRevision": seen.previous,
    }  # fmt: skip
    predictor |= {field: name for field, name in names.items() if name}
    return {**predictor, "traffic": _traffic(seen)} if seen.champion else predictor


def _traffic(seen: Observed) -> list[Document]:
    if not seen.canaries:
        return [{"revisionName": seen.champion, "percent": 100, "latestRevision": True}]
    (latest,) = seen.canaries
    return [
        {"revisionName": latest.name, "percent": latest.percent, "latestRevision": True},
        {"revisionName": seen.champion, "percent": 100 - latest.percent, "latestRevision": False, "tag": "prev"},
    ]


def _model_status(serves: bool, is_current: bool, failure: Failure | None, is_valid: bool) -> Document:
    active = "Loaded" if serves else ""
    copies = {"failedCopies": 0, "totalCopies": 1 if serves else 0}
    if failure is None:
        target = "Loaded" if is_current else "Loading"
        transition = "UpToDate" if is_current else "InProgress"
        return {"copies": copies, "states": _states(active, target), "transitionStatus": transition}
    info: Document = {"reason": failure.reason, "message": failure.message}
    if failure.exit_code:
        info["exitCode"] = failure.exit_code
    return {
        "copies": {**copies, "failedCopies": 1 if is_valid else 0},
        "states": _states(active, "FailedToLoad" if is_valid else ""),
        "lastFailureInfo": info,
        "transitionStatus": "BlockedByFailedLoad" if is_valid else "InvalidSpec",
    }


def _states(active: str, target: str) -> Document:
    return {"activeModelState": active, "targetModelState": target}


def _conditions(seen: Observed) -> list[Document]:
    """Ready follows from PredictorReady and IngressReady. A canary has a condition of its own, which gates nothing."""
    predictor = _predictor_ready(seen)
    ingress = _ingress_ready(seen)
    not_so = [each for each in (predictor, ingress) if each["status"] != "True"]
    ready = {**(not_so[0] if not_so else predictor), "type": "Ready"}
    conditions = [ingress, predictor, ready, _condition("Stopped", "False", {"severity": "Info"})]
    if seen.mode == "Knative":
        return [*conditions, *_knative_conditions(seen)]
    return [*conditions, _canary_ready(seen)] if seen.canaries else conditions


def _predictor_ready(seen: Observed) -> Document:
    """In Standard mode: does the champion answer? In Knative mode: is all that the spec asks for in place?"""
    if seen.serving and (seen.mode != "Knative" or seen.is_current):
        return _condition("PredictorReady", "True")
    if seen.serving and seen.failure is None:
        return _condition("PredictorReady", "Unknown")
    return _condition("PredictorReady", "False", _why_not_ready(seen))


def _ingress_ready(seen: Observed) -> Document:
    if seen.door_failure:
        return _condition("IngressReady", "False", {"reason": "FrontDoorClosed", "message": seen.door_failure})
    if seen.champion:
        return _condition("IngressReady", "True")
    return _condition("IngressReady", "False", {"reason": "Predictor ingress not created"})


def _knative_conditions(seen: Observed) -> list[Document]:
    info = {"severity": "Info"}
    routed, latest = "True" if seen.serving else "False", "True" if seen.is_current else "False"
    by_value = {"PredictorRouteReady": routed, "RoutesReady": routed, "LatestDeploymentReady": latest,
                "PredictorConfigurationReady": latest}  # fmt: skip
    return [_condition(name, value, info) for name, value in by_value.items()]


def _canary_ready(seen: Observed) -> Document:
    if all(each.ready for each in seen.canaries):
        return _condition("CanaryPredictorReady", "True", {"reason": "AllCanariesReady", "severity": "Info"})
    said = "; ".join(f"{each.name}: {each.failure.message}" for each in seen.canaries if each.failure)
    why = {"reason": "CanariesNotReady", "severity": "Info"} | ({"message": said} if said else {})
    return _condition("CanaryPredictorReady", "False", why)


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
