"""UC3 step 2: answer drift by training again on fresh data, once.

Reads    DriftReport, or the last window that drifted where the newest did not; from the registry's tags, what
         answered drift before; the labelled tables of uc3.fresh, or UC1's own source
Writes   raw/customers-fresh/<digest>.parquet; what UC1's published pipeline writes: models, MLflow runs and versions,
         proposed where they pass the gate, with the tags drift_report, drift_share, answers_drift
Returns  Retraining: the versions, or why there are none; UC2 tries them. Nothing to answer is no error
Raises   GateRefused (3) where no version passed; InvalidData (65) where the fresh rows cannot be learned from

Run it alone:  python uc3_drift_retraining/uc3_02_trigger_retrain_kubeflow.py
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from churn.retraining import Budget, Decision, decided, learned_already
from common.cli import main
from common.errors import GateRefused
from common.step import step
from common.tools import Tools
from uc3_drift_retraining.results import DriftReport, Retraining

if TYPE_CHECKING:
    from common.registry import Version
    from common.snapshot import Snapshot

DEADLINE_SECONDS = 1800


@step(
    needs=("mlflow", "minio", "postgres", "kubeflow", "feast"),
    settings=(
        "uc1.model_name", "uc1.table", "uc1.query", "uc1.algorithms", "uc1.entity", "uc1.label", "uc1.event_time",
        "uc1.dropped", "uc1.numeric",
        "uc1.categorical", "uc1.holdout_share", "uc1.seed", "uc1.golden_rows", "uc1.gate", "uc1.positive_label",
        "uc3.pipeline", "uc3.fresh", "uc3.cooldown_hours", "uc3.retrainings_per_day",
    ),
    deadline_seconds=DEADLINE_SECONDS,
)  # fmt: skip
def run(tools: Tools, drift: DriftReport) -> Retraining:
    """Decide, train, tag, compare; what a killed run has registered is gone on with, whatever the decision is now."""
    from uc3_drift_retraining import retrain, windows

    drift = windows.to_answer(tools, drift)
    now, old = datetime.now(UTC), tools.mlflow.champion(drift.model_name)
    begun = unfinished(tools)
    decision = Decision(True, "goes on with what was begun") if begun else decision_of(tools, drift, old, now)
    tools.context.effect("decision", drift.model_name, window=drift.window, retrain=decision.retrain,
                         reason=decision.reason)  # fmt: skip
    if not decision.retrain or old is None:
        return nothing(drift, decision)
    uri, package = retrain.package_of(tools)
    fresh = retrain.fresh_snapshot(tools)
    if not begun and (refusal := learned_from_already(tools, fresh, old)):
        return nothing(drift, refusal)
    if len(begun) < len(tools.settings.uc1.algorithms):
        retrain.train(tools, package, fresh.uri, old)
    versions = retrain.tagged(tools, retrain.registered(tools), drift, now)
    return answered(tools, drift, decision, old, versions, fresh, uri)


def unfinished(tools: Tools) -> "list[Version]":
    """What this very step has registered and not yet tagged: it was killed in between."""
    from uc3_drift_retraining import retrain

    mine = retrain.registered(tools)
    return mine if any(retrain.ANSWERS not in version.tags for version in mine) else []


def decision_of(tools: Tools, drift: DriftReport, champion: "Version | None", now: datetime) -> Decision:
    """The rules of churn.retraining, for a report about the champion of today."""
    from uc3_drift_retraining import retrain

    uc3 = tools.settings.uc3
    if not drift.window:
        return Decision(False, f"nothing new was examined: {drift.summary()}")
    if champion is None or champion.digest != drift.champion_digest:
        return Decision(False, f"the drift is against version {drift.champion}, which is champion no more")
    budget = Budget(timedelta(hours=uc3.cooldown_hours), uc3.retrainings_per_day)
    return decided(drift.window, drift.share, drift.threshold, retrain.answers(tools), budget, now)


def learned_from_already(tools: Tools, fresh: "Snapshot", champion: "Version") -> Decision | None:
    """Refuse to train on what the champion, or an earlier answer, has learned from: it would give the same bytes."""
    from uc3_drift_retraining import retrain

    if champion.tags.get("data_digest") == fresh.digest:
        reason = f"the fresh data is what the champion, version {champion.version}, learned from already"
        return Decision(False, reason, waits=True)
    return learned_already(fresh.digest, retrain.answers(tools))


def nothing(drift: DriftReport, decision: Decision) -> Retraining:
    """Say why nothing is trained."""
    return Retraining(
        model_name=drift.model_name, window=drift.window, share=drift.share, report=drift.page or drift.uri,
        decision=decision.reason, candidate=decision.version, waits=decision.waits,
    )  # fmt: skip


def answered(
    tools: Tools, drift: DriftReport, decision: Decision, old: "Version", versions: "Sequence[Version]",
    fresh: "Snapshot", pipeline_uri: str,
) -> Retraining:  # fmt: skip
    """The result, with both models on the hold-out. Raises GateRefused, which carries it, where none passed."""
    from uc3_drift_retraining.comparison import compared

    candidate = tools.mlflow.candidate(drift.model_name)
    made = Retraining(
        model_name=drift.model_name, window=drift.window, share=drift.share, report=drift.page or drift.uri,
        decision=decision.reason, old=old.version, versions=tuple(each.version for each in versions),
        states=tuple(each.state for each in versions), digests=tuple(each.digest for each in versions),
        candidate=candidate.version if candidate else "", snapshot=fresh.uri, rows=fresh.rows,
        tables=tools.settings.uc3.fresh or (tools.settings.uc1.table or "query",), pipeline=pipeline_uri,
        populations=compared(tools, fresh.uri, old, versions), unchanged=False,
    )  # fmt: skip
    if not any(each.gate == "passed" for each in versions):
        reasons = "; ".join(f"version {each.version} ({each.algorithm}): {each.gate}" for each in versions)
        raise GateRefused(f"No retrained model passed the gate: {reasons}.", "Look at uc1.gate.", result=made)
    return made


def observe(tools: Tools) -> dict[str, Any]:
    """Which windows are answered, and whether an answer waits for its canary."""
    from uc3_drift_retraining import retrain

    known = retrain.answers(tools)
    return {
        "answered": sorted({each.window for each in known}),
        "waiting": any(each.waits for each in known),
    }


if __name__ == "__main__":
    main(__file__)
