"""The status of an Iter8 Experiment, in the fields that its own controller writes: a pure function.

Iter8 ends a roll-back as Completed too: the winner tells the two apart, not the condition.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from common.iter8_manifests import ExperimentPlan, quantity

Document = dict[str, Any]
PROVENANCE = "uc2_03_monitor_experiment"
PROMOTED, ROLLED_BACK, UNDECIDED, FAILED = "promoted", "rolled back", "undecided", "failed"
ENDINGS = {
    PROMOTED: "Experiment completed successfully",
    ROLLED_BACK: "Experiment rolled back",
    UNDECIDED: "Experiment completed without a winner",
    FAILED: "Experiment failed",
}


@dataclass(frozen=True)
class ExperimentSeen:
    """What the monitor knows. Versions are named as in the plan."""

    iterations: int
    weight: int
    """Percent of the candidate."""
    values: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    """Metric -> version -> value; None where it is missing."""
    holds: Mapping[str, Sequence[bool]] = field(default_factory=dict)
    """Version -> whether it keeps each objective, in the criteria's order."""
    verdict: str = ""
    """Empty while it runs; else promoted, rolled back, undecided or failed."""
    is_finished: bool = False
    """True when what follows from the verdict is done, promotion for example."""
    reason: str = ""
    before: Mapping[str, Any] = field(default_factory=dict)
    """The status that is there: its times are kept."""


def status(plan: ExperimentPlan, seen: ExperimentSeen, now: datetime) -> Document:
    """The whole status."""
    at = _time(now)
    message = _message(seen)
    document: Document = {
        "stage": _stage(seen), "conditions": _conditions(seen, at, message), "message": message,
        "initTime": seen.before.get("initTime", at), "startTime": seen.before.get("startTime", at),
        "lastUpdateTime": at, "completedIterations": seen.iterations,
        "currentWeightDistribution": _weights(plan, seen.weight), "analysis": _analysis(plan, seen, at),
        "versionRecommendedForPromotion": _winner(plan, seen) or plan.baseline,
    }  # fmt: skip
    return document


def _stage(seen: ExperimentSeen) -> str:
    if not seen.verdict:
        return "Running"
    return "Completed" if seen.is_finished else "Finishing"


def _message(seen: ExperimentSeen) -> str:
    if not seen.is_finished:
        said = f"IterationUpdate: Completed Iteration {seen.iterations}"
    else:
        reason = "AnalyticsServiceError" if seen.verdict == FAILED else "ExperimentCompleted"
        said = f"{reason}: {ENDINGS[seen.verdict]}"
    return f"{said}: {seen.reason}" if seen.reason else said


def _conditions(seen: ExperimentSeen, at: str, message: str) -> list[Document]:
    failed = seen.is_finished and seen.verdict == FAILED
    completed = seen.is_finished and not failed
    reason, _, said = message.partition(": ")
    conditions = [
        {"type": "Completed", "status": str(completed), "reason": reason, "message": said},
        {"type": "Failed", "status": str(failed)} | ({"reason": reason, "message": said} if failed else {}),
        {"type": "TargetAcquired", "status": "True", "reason": "TargetAcquired"},
    ]
    old = {each["type"]: each for each in seen.before.get("conditions", [])}
    return [{**each, "lastTransitionTime": _since(each, old.get(each["type"], {}), at)} for each in conditions]


def _since(condition: Document, before: Document, at: str) -> str:
    unchanged = before.get("status") == condition["status"]
    return str(before.get("lastTransitionTime", at)) if unchanged else at


def _winner(plan: ExperimentPlan, seen: ExperimentSeen) -> str:
    """The version that won; "" for none. Rolled back, it is the baseline."""
    return {PROMOTED: plan.candidate, ROLLED_BACK: plan.baseline}.get(seen.verdict, "")


def _analysis(plan: ExperimentPlan, seen: ExperimentSeen, at: str) -> Document:
    winner = _winner(plan, seen)
    parts: dict[str, Any] = {
        "aggregatedMetrics": {metric: _aggregated(versions) for metric, versions in seen.values.items()},
        "versionAssessments": {version: list(holds) for version, holds in seen.holds.items()},
        "winnerAssessment": {"winnerFound": bool(winner)} | ({"winner": winner} if winner else {}),
        "weights": _weights(plan, seen.weight),
    }
    return {name: {"data": data, "provenance": PROVENANCE, "timestamp": at} for name, data in parts.items()}


def _aggregated(versions: Mapping[str, float | None]) -> Document:
    return {"data": {name: {} if value is None else {"value": quantity(value)} for name, value in versions.items()}}


def _weights(plan: ExperimentPlan, weight: int) -> list[Document]:
    return [{"name": plan.baseline, "value": 100 - weight}, {"name": plan.candidate, "value": weight}]


def _time(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
