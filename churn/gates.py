"""Whether a model may be proposed: a pure verdict from numbers of one hold-out, with a reason for each refusal.

A number that is missing or NaN fails: no comparison with it can be relied upon.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ModelRules:
    """The floor, the ceiling, and how much worse than the champion, on the same rows, is still accepted."""

    min_roc_auc: float
    max_brier: float
    max_roc_auc_drop: float


@dataclass(frozen=True)
class Verdict:
    """`reasons` say what was wrong; `notes` what was found out beside."""

    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.reasons

    def __str__(self) -> str:
        return "passed" if self.passed else f"refused: {'; '.join(self.reasons)}"


def judge_model(
    metrics: Mapping[str, float], rules: ModelRules, champion: Mapping[str, float] | None = None
) -> Verdict:
    """Hold a candidate's hold-out `metrics` against the rules, and against the champion's on the same hold-out.

    Both need `roc_auc` (higher is better) and `brier` (lower is better). Pass None where no champion stands.
    """
    roc_auc, brier = metrics.get("roc_auc", math.nan), metrics.get("brier", math.nan)
    reasons = [*_below(roc_auc, rules.min_roc_auc), *_above(brier, rules.max_brier)]
    if champion is not None:
        reasons += _worse(roc_auc, champion.get("roc_auc", math.nan), rules.max_roc_auc_drop)
    return Verdict(tuple(reasons))


# `not (a >= b)` and not `a < b`: so that NaN is refused.
def _below(value: float, floor: float) -> list[str]:
    return [] if value >= floor else [f"ROC AUC {value:.4f} is below the floor of {floor:g}"]


def _above(value: float, ceiling: float) -> list[str]:
    return [] if value <= ceiling else [f"Brier score {value:.4f} is above the ceiling of {ceiling:g}"]


def _worse(value: float, champion: float, allowed: float) -> list[str]:
    if value >= champion - allowed:
        return []
    return [f"ROC AUC {value:.4f} is more than {allowed:g} below the champion's {champion:.4f} on the same hold-out"]
