"""Whether drift is answered by training again: a pure decision, with its reason, that cannot loop.

Every answer so far counts, whatever became of it: a version that was promoted, is waiting, or was rejected.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True)
class Answer:
    """A version that drift was answered with: the window that it answers, what it learned from, when, its state.

    It `waits` where a canary may still try it. `proposed` alone does not say so: a sibling that is champion now was
    chosen in its stead, and nobody takes its state away.
    """

    window: str
    version: str
    data_digest: str
    at_utc: datetime
    state: str
    waits: bool = False


@dataclass(frozen=True)
class Budget:
    """How often training may follow: `per_day` counts the 24 hours before now."""

    cooldown: timedelta
    per_day: int


@dataclass(frozen=True)
class Decision:
    """Train again or not. `waits` where a later look may decide otherwise although nothing else has changed."""

    retrain: bool
    reason: str
    version: str = ""
    waits: bool = False


def decided(
    window: str, share: float, threshold: float, answers: Sequence[Answer], budget: Budget, now: datetime
) -> Decision:
    """The first rule that speaks: no drift, answered already, one is waiting, cool-down, budget; else train."""
    if share <= threshold:
        return Decision(False, f"{share:.0%} of the columns have drifted, which is not above {threshold:.0%}")
    if same := [each for each in answers if each.window == window]:
        return Decision(False, f"answered by version {_named(same)}", version=same[-1].version)
    if waiting := [each for each in answers if each.waits]:
        reason = f"version {_named(waiting)} answers earlier drift and waits for its canary"
        return Decision(False, reason, version=waiting[-1].version)
    return _within(answers, budget, now) or Decision(True, f"{share:.0%} of the columns have drifted")


def learned_already(digest: str, answers: Sequence[Answer]) -> Decision | None:
    """Nothing, where the fresh data is new; else the refusal to train on the same rows as an earlier answer did."""
    same = [each for each in answers if each.data_digest == digest]
    if not same:
        return None
    reason = f"the fresh data is what version {same[-1].version} ({same[-1].state}) learned from already"
    return Decision(False, reason, version=same[-1].version, waits=True)


def _within(answers: Sequence[Answer], budget: Budget, now: datetime) -> Decision | None:
    times = sorted({each.window: each.at_utc for each in answers}.values())
    if times and now < times[-1] + budget.cooldown:
        until = (times[-1] + budget.cooldown).astimezone(UTC)
        return Decision(False, f"cool-down after version {answers[-1].version} until {until:%Y-%m-%d %H:%M} UTC",
                        waits=True)  # fmt: skip
    today = [each for each in times if each > now - timedelta(days=1)]
    if len(today) >= budget.per_day:
        return Decision(False, f"the budget of {budget.per_day} trainings in 24 hours is used up", waits=True)
    return None


def _named(answers: Sequence[Answer]) -> str:
    return ", ".join(f"{each.version} ({each.state})" for each in answers)
