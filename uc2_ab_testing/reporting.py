"""The rollout in Iter8's words: the plan of the Experiment, and its status as Iter8's own controller would write it."""

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from churn.objectives import Objective, Window
from churn.rollout import Rollout
from common.iter8_manifests import (
    ERROR_RATE,
    EXCESS_DISAGREEMENT,
    LATENCY_P95,
    REQUEST_COUNT,
    ExperimentPlan,
)
from common.iter8_status import ExperimentSeen, status
from uc2_ab_testing import progress
from uc2_ab_testing.progress import DISAGREEMENT, ROWS, TRIED
from uc2_ab_testing.results import ExperimentRun

if TYPE_CHECKING:
    from churn.windows import Arm
    from common.settings_uc2 import Objectives
    from common.tools import Tools

JUDGED = {"error_rate": ERROR_RATE, "latency_p95": LATENCY_P95, "excess_disagreement": EXCESS_DISAGREEMENT}


def plan_of(tools: "Tools", run: ExperimentRun) -> ExperimentPlan:
    """What the Experiment is about."""
    canary, uc2 = run.canary, tools.settings.uc2
    return ExperimentPlan(
        run.name, canary.namespace, canary.service, canary.champion.arm, canary.challenger.arm, uc2.objectives,
        canary.form, reward=bool(uc2.reward.query), disagreement=uc2.shadow_share > 0,
        largest_step=max(after - before for before, after in itertools.pairwise((0, *uc2.ladder))),
        notes={
            DISAGREEMENT: f"{run.expected_disagreement:.6f}", ROWS: str(run.holdout_rows),
            TRIED: canary.model_dump_json(),
        },
    )  # fmt: skip


def report(tools: "Tools", run: ExperimentRun, rollout: Rollout, *, is_finished: bool = False) -> None:
    """Write the Experiment's status."""
    before = progress.of(tools, run.name).document.get("status", {})
    uc2 = tools.settings.uc2
    seen = seen_of(run, rollout, uc2.objectives, before, is_finished, shadow=uc2.shadow_share > 0)
    tools.iter8.report(run.name, run.canary.namespace, status(plan_of(tools, run), seen, datetime.now(UTC)))


def seen_of(
    run: ExperimentRun,
    rollout: Rollout,
    limits: "Objectives",
    before: dict[str, object],
    is_finished: bool,
    *,
    shadow: bool = True,
) -> ExperimentSeen:
    """The rollout as a status needs it: numbers by metric and version, and which objectives each version keeps."""
    champion, candidate = run.canary.champion.arm, run.canary.challenger.arm
    arms = {
        champion: [w.champion for w in _at_present(rollout)],
        candidate: [w.candidate for w in _at_present(rollout)],
    }
    values: dict[str, dict[str, float | None]] = {
        REQUEST_COUNT: {name: float(sum(arm.requests for arm in seen)) for name, seen in arms.items()},
        ERROR_RATE: {name: _error_rate(seen) for name, seen in arms.items()},
        LATENCY_P95: {name: _last_p95(seen) for name, seen in arms.items()},
    }
    judged = {JUDGED[each.name]: each for each in _objectives(rollout) if each.name in JUDGED}
    if EXCESS_DISAGREEMENT in judged:
        values[EXCESS_DISAGREEMENT] = {champion: 0.0, candidate: judged[EXCESS_DISAGREEMENT].value}
    within = (
        _within(values[ERROR_RATE][champion], limits.error_rate),
        _within(values[LATENCY_P95][champion], limits.latency_p95_ms), True,
    )  # fmt: skip
    names = [name for name in JUDGED.values() if shadow or name != EXCESS_DISAGREEMENT]
    holds = {champion: within[: len(names)], candidate: tuple(_holds(judged.get(name)) for name in names)}
    return ExperimentSeen(
        iterations=len(rollout.windows), weight=rollout.weight, values=values, holds=holds, verdict=rollout.verdict,
        is_finished=is_finished, reason=rollout.reason, before=before,
    )  # fmt: skip


def _at_present(rollout: Rollout) -> tuple[Window, ...]:
    """The windows of the weight that was there last."""
    last = rollout.windows[-1].weight if rollout.windows else 0
    return tuple(window for window in rollout.windows if window.weight == last)


def _objectives(rollout: Rollout) -> tuple[Objective, ...]:
    return rollout.windows[-1].objectives if rollout.windows else ()


def _error_rate(seen: "Iterable[Arm]") -> float | None:
    requests = sum(arm.requests for arm in seen)
    return sum(arm.errors for arm in seen) / requests if requests else None


def _last_p95(seen: "list[Arm]") -> float | None:
    return next((arm.p95_ms for arm in reversed(seen) if arm.p95_ms is not None), None)


def _within(value: float | None, limit: float) -> bool:
    return value is not None and value <= limit


def _holds(objective: Objective | None) -> bool:
    return objective is not None and objective.state == "holds"
