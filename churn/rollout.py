"""A canary's way from its first share of traffic to all of it, or back: a pure function from window to window.

    rollout = start(rules)
    while not rollout.verdict:
        rollout = advance(rollout, observed(...), rules)

The weight rises when every objective holds (churn/judging.py says when one does), falls to 0 at once when one is
broken, and waits otherwise, for `max_windows` windows in all. A window whose metrics are missing is no evidence
that anything is well: it never moves the weight up, and it counts. A verdict is final.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from churn.judging import judge_windows
from churn.objectives import ALL, Objective, Rules, Window
from churn.windows import Arm, Part, Reward, Shadow

__all__ = [
    "Arm", "Objective", "Reward", "Rollout", "Rules", "Shadow", "Verdict", "Window",
    "advance", "describe", "judge", "observed", "start",
]  # fmt: skip

Verdict = Literal["", "promoted", "rolled back", "undecided"]


class Rollout(Part):
    """Everything known of a rollout; `model_dump(mode="json")` and `Rollout.model_validate` carry it over a restart.

    `weight` is what the canary should have now, in percent. "undecided" is an end without promotion, too.
    """

    weight: int = Field(ge=0, le=ALL)
    windows: tuple[Window, ...] = ()
    verdict: Verdict = ""
    reason: str = ""


def start(rules: Rules, running: int = 0) -> Rollout:
    """Return a rollout at its first weight, or at the weight that the canary is `running` with: never lower it."""
    return Rollout(weight=max(running, rules.ladder[0]))


def observed(
    number: int, weight: int, seconds: float, arms: Mapping[str, Arm], champion: str, candidate: str,
    shadow: Shadow | None = None, reward: Reward | None = None, trouble: str = "",
) -> Window:  # fmt: skip
    """Make a window of what churn.windows.between found; the canary must be in it, the champion while it has traffic.

    `trouble` is why metrics could not be read at all, in a sentence: counts are not believed then.
    """
    arms = {} if trouble else arms
    expected = (candidate, champion) if weight < ALL else (candidate,)
    absent = [name for name in expected if name not in arms]
    missing = trouble or (f"No metrics of {' and '.join(absent)} in this window." if absent else "")
    return Window(
        number=number, weight=weight, seconds=round(seconds, 3), champion=arms.get(champion, Arm()),
        candidate=arms.get(candidate, Arm()), shadow=shadow or Shadow(), reward=reward, missing=missing,
    )  # fmt: skip


def judge(rollout: Rollout, rules: Rules) -> tuple[Objective, ...]:
    """Say of each objective whether the evidence so far holds it, breaks it, or leaves it open."""
    return judge_windows(rollout.windows, rollout.weight, rules)


def advance(rollout: Rollout, window: Window, rules: Rules) -> Rollout:
    """Return the rollout after one more window. Raises ValueError for a window of another weight."""
    if rollout.verdict:
        return rollout
    if window.weight != rollout.weight:
        raise ValueError(f"a window of {window.weight} % does not continue a rollout at {rollout.weight} %")
    objectives = judge_windows((*rollout.windows, window), rollout.weight, rules)
    windows = (*rollout.windows, window.model_copy(update={"objectives": objectives}))
    return _decided(windows, rollout.weight, objectives, rules)


def _decided(windows: tuple[Window, ...], weight: int, objectives: tuple[Objective, ...], rules: Rules) -> Rollout:
    broken = [each for each in objectives if each.state == "broken"]
    if broken:
        reason = " ".join(_broken(each, rules) for each in broken)
        return Rollout(weight=0, windows=windows, verdict="rolled back", reason=reason)
    if all(each.state == "holds" for each in objectives) and not windows[-1].missing:
        if weight >= ALL:
            reason = f"Every objective held at {_listed(windows)} % of the traffic."
            return Rollout(weight=ALL, windows=windows, verdict="promoted", reason=reason)
        weight = next(each for each in rules.ladder if each > weight)
    if len(windows) >= rules.max_windows:
        return Rollout(weight=0, windows=windows, verdict="undecided", reason=_undecided(windows, objectives, rules))
    return Rollout(weight=weight, windows=windows)


def _listed(windows: tuple[Window, ...]) -> str:
    return ", ".join(str(weight) for weight in sorted({window.weight for window in windows}))


def _broken(objective: Objective, rules: Rules) -> str:
    sure = f"with {100 * rules.confidence:.4g}% confidence over {rules.max_windows} windows"
    return f"{describe(objective, rules)}: not by chance, {sure}."


def _undecided(windows: tuple[Window, ...], objectives: tuple[Objective, ...], rules: Rules) -> str:
    """Name what stood in the way: in the end everything that did not hold, and windows that nobody measured."""
    unmet = [describe(each, rules) for each in objectives if each.state != "holds"]
    missing = [window.missing for window in windows if window.missing]
    if missing:
        unmet.append(f"{len(missing)} windows had no metrics, the last one said: {missing[-1].rstrip('.')}")
    unmet = unmet or [f"every objective held at {windows[-1].weight} %, but no window was left for the next weight"]
    return f"No decision after {len(windows)} windows at {_listed(windows)} %: {'; '.join(unmet)}."


def describe(objective: Objective, rules: Rules) -> str:
    """Say an objective's numbers in words, without a full stop."""
    value, limit = objective.value, objective.limit
    if value is None:
        return f"{objective.name} could not be measured"
    counted = f"{objective.count:,} of {objective.of:,}"
    match objective.name:
        case "error_rate":
            said = f"{counted} requests failed{_refused(objective)} ({value:.2%}, allowed {limit:.2%})"
        case "latency_p95":
            said = f"{counted} answers took longer than {rules.latency_p95_ms:g} ms ({value:.1%}, allowed {limit:.0%})"
        case "excess_disagreement":
            beyond = f"{value:+.1%} beyond the hold-out's {rules.expected_disagreement:.1%}, allowed {limit:.1%}"
            said = f"{counted} decisions differed from the champion's ({beyond})"
        case _:
            said = f"{counted} users converted ({value:.2%} fewer than the champion's)"
    if objective.is_shared and objective.champion is not None:
        return f"{said}, but {objective.champion:.2%} of the champion's too: it is not the canary's doing alone"
    few = objective.of < rules.min_requests and objective.state == "open"
    return f"{said}, where {rules.min_requests} are needed" if few else said


def _refused(objective: Objective) -> str:
    return f", {objective.refused:,} of them refused beyond the champion's share" if objective.refused else ""
