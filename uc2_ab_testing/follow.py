"""Where an Iter8 controller decides: its recommendation is followed, with one thing held back.

Iter8 cannot compare two models' decisions. A canary that decides otherwise than its hold-out promised is refused
here, whatever its controller recommends.
"""

from churn.judging import judge_windows
from churn.objectives import Rules, Window
from churn.rollout import Rollout

OURS = "excess_disagreement"


def follow(rollout: Rollout, window: Window, rules: Rules, recommended: str | None, candidate: str) -> Rollout:
    """The rollout after one more window. `recommended` is None while Iter8 works, "" where it ended undecided."""
    objectives = judge_windows((*rollout.windows, window), window.weight, rules)
    windows = (*rollout.windows, window.model_copy(update={"objectives": objectives}))
    disagreeing = next((each for each in objectives if each.name == OURS and each.state == "broken"), None)
    if disagreeing and disagreeing.value is not None:
        reason = f"Whatever Iter8 says, the canary decides otherwise than the champion: {disagreeing.value:.1%} of the "
        reason += f"requests beyond what the hold-out promised, where {disagreeing.limit:.1%} are allowed."
        return Rollout(weight=0, windows=windows, verdict="rolled back", reason=reason)
    if recommended is not None:
        return _recommended(windows, recommended, candidate)
    if len(windows) >= rules.max_windows:
        reason = f"Iter8 recommended no version in {len(windows)} windows."
        return Rollout(weight=0, windows=windows, verdict="undecided", reason=reason)
    return Rollout(weight=window.weight, windows=windows)


def _recommended(windows: tuple[Window, ...], recommended: str, candidate: str) -> Rollout:
    if recommended == candidate:
        return Rollout(weight=100, windows=windows, verdict="promoted", reason=f"Iter8 recommends {candidate}.")
    if not recommended:  # it failed, or saw too little: that says nothing against the version
        return Rollout(weight=0, windows=windows, verdict="undecided", reason="Iter8 ended without a winner.")
    return Rollout(weight=0, windows=windows, verdict="rolled back", reason=f"Iter8 recommends {recommended}.")
