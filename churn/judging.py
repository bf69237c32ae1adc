"""What the evidence says of each of a canary's objectives: it holds, is broken, or stays open.

Every objective is a share of something that was counted, which can be tested without assumptions about its
distribution: failures among requests, slow answers among requests, other decisions among shadow-scored requests.
"p95 <= limit" is the share of answers slower than the limit, at most 5 %. The p95 that is shown comes from
a histogram's buckets and has no usable error; the share at a bucket's bound is exact, and binomial.

broken  The share's lower bound (Clopper and Pearson, 1934) is above the limit: chance does not explain it.
        The objective is looked at after each window, up to `max_windows` times, and each look is another chance to
        be wrong (Armitage, McPherson and Rowe, 1969). Each is therefore allowed (1 - confidence) / max_windows
        (Bonferroni): a canary exactly at its limit is rolled back for this objective, in the whole experiment,
        with a probability of at most 1 - confidence. For one far above it, this costs a few windows.
        That holds for requests that fail independently of each other. They do not where a server stalls or the
        network breaks; what both arms share of that is found by looking at the champion, see below. A stall of the
        canary's server alone counts against the canary, and so does any stall at 100 %, where nobody is beside it.
holds   There is enough evidence, and the share itself is within the limit. That is not a proof: 50 requests without
        an error only say, with 95 % confidence, that fewer than 3 / 50 fail (Hanley and Lippman-Hand, 1983). What
        holds at a small weight is tried at a larger one, where a mistake shows sooner.
open    Everything else: too little evidence, or a share above the limit that may be chance. Wait.

The champion serves the same windows, and chance says who answers a request. Where its arm is beyond the limit of errors
or latency too, the limit says nothing about the canary: broken is then only what is surely worse than the champion,
the lower bound of the one above the upper bound of the other. And requests that a server refuses (4xx) may
well be wrong, so that only those beyond the champion's share of refusals are failures of the canary. At 100 % that
share is the one of all windows before; without any, refusals break nothing, but hold nothing either.

Evidence accumulates. One window of a small weight has few requests; all of the same weight together answer the
same question. Errors and latency depend on the load, so a new weight starts from nothing. Decisions do not:
disagreement counts all windows. With nothing counted the value is None and the objective open, never held.
"""

from collections.abc import Iterable

from churn.experiment import compare_conversion
from churn.objectives import ALL, Objective, Rules, State, Window
from churn.proportions import lower_bound, upper_bound
from churn.windows import Arm, Reward, Shadow

SLOW_SHARE = 0.05  # what "95 of 100 within the limit" leaves
EXPECTED_IN_EACH_CELL = 5  # below it no z-test is to be trusted (Cochran, 1954)


def judge_windows(windows: tuple[Window, ...], weight: int, rules: Rules) -> tuple[Objective, ...]:
    """Hold all that was seen against the rules, with `weight` as the one of today."""
    now = [window for window in windows if window.weight == weight]
    candidate = _added(window.candidate for window in now)
    champion = _added(window.champion for window in now) if weight < ALL else Arm()
    objectives = [
        _errors(candidate, champion, refusing_champion(windows, weight), rules),
        _compared(_share("latency_p95", round(candidate.slow), candidate.requests, SLOW_SHARE, rules),
                  round(champion.slow), champion.requests, rules),
    ]  # fmt: skip
    if rules.shadow:
        objectives.append(_disagreement([window.shadow for window in windows], rules))
    if rules.reward:
        objectives.append(_reward([window.reward for window in windows if window.reward], rules))
    return tuple(objectives)


def refusing_champion(windows: tuple[Window, ...], weight: int) -> Arm:
    """Return the champion's arm whose share of refusals is the usual one at this weight."""
    if weight < ALL:
        return _added(window.champion for window in windows if window.weight == weight)
    return _added(window.champion for window in windows if window.weight < ALL)


def refused_beyond(candidate: Arm, champion: Arm) -> float:
    """Return how many requests the candidate refused that the champion, by its share of refusals, would have taken."""
    usual = champion.refused / champion.requests if champion.requests else 0.0
    return max(0.0, candidate.refused - usual * candidate.requests)


def _added(arms: Iterable[Arm]) -> Arm:
    arms = tuple(arms)
    return Arm(
        requests=sum(arm.requests for arm in arms), errors=sum(arm.errors for arm in arms),
        refused=sum(arm.refused for arm in arms), slow=sum(arm.slow for arm in arms),
    )  # fmt: skip


def _errors(candidate: Arm, champion: Arm, refusing: Arm, rules: Rules) -> Objective:
    """5xx, and 4xx beyond the champion's share. Two bounds can break it, so each is allowed half of the error.

    The second one is about a difference, of which both sides are uncertain: they share its half.
    """
    refused = round(refused_beyond(candidate, refusing))
    judged = _share("error_rate", candidate.errors + refused, candidate.requests, rules.error_rate, rules)
    if judged.low is None:
        return judged
    failed = min(candidate.errors + candidate.refused, candidate.requests)
    low = max(
        lower_bound(min(candidate.errors, candidate.requests), candidate.requests, rules.alpha / 2),
        lower_bound(failed, candidate.requests, rules.alpha / 4)
        - upper_bound(refusing.refused, refusing.requests, rules.alpha / 4),
    )
    judged = judged.model_copy(update={"low": round(low, 6), "refused": refused, "state": _state(judged, low, rules)})
    return _compared(judged, champion.errors, champion.requests, rules)


def _compared(judged: Objective, count: int, of: int, rules: Rules) -> Objective:
    """Blame the canary only where it is surely worse than a champion that is beyond the limit itself."""
    if not of:
        return judged
    count = min(count, of)
    judged = judged.model_copy(update={"champion": round(count / of, 6)})
    is_broken = judged.low is not None and judged.low > max(judged.limit, upper_bound(count, of, rules.alpha))
    if judged.state == "broken" and count / of > judged.limit and not is_broken:
        return judged.model_copy(update={"state": "open"})
    return judged


def _share(name: str, count: int, of: int, limit: float, rules: Rules, expected: float = 0.0) -> Objective:
    """`expected` is what is to be seen anyway: value, limit and bound are what goes beyond it."""
    count = min(count, of)
    if not of:
        return Objective(name=name, value=None, limit=limit, low=None, state="open", count=0, of=0)
    value, low = count / of - expected, lower_bound(count, of, rules.alpha) - expected
    judged = Objective(
        name=name, value=round(value, 6), limit=limit, low=round(low, 6), state="open", count=count, of=of
    )
    return judged.model_copy(update={"state": _state(judged, low, rules)})


def _state(judged: Objective, low: float, rules: Rules) -> State:
    if low > judged.limit:
        return "broken"
    enough = judged.of >= rules.min_requests
    return "holds" if enough and judged.value is not None and judged.value <= judged.limit else "open"


def _disagreement(seen: list[Shadow], rules: Rules) -> Objective:
    disagreeing, scored = sum(each.disagreeing for each in seen), sum(each.scored for each in seen)
    limit, expected = rules.excess_disagreement, rules.expected_disagreement
    return _share("excess_disagreement", disagreeing, scored, limit, rules, expected)


def _reward(seen: list[Reward], rules: Rules) -> Objective:
    """Conversions lost against the champion. It is a guard: it holds unless the loss is beyond chance."""
    if not seen or not _is_comparable(seen[-1]):
        return Objective(name="conversion_loss", value=None, limit=0.0, low=None, state="open", count=0, of=0)
    last = seen[-1]
    arms = (last.champion_users, last.champion_conversions, last.candidate_users, last.candidate_conversions)
    compared = compare_conversion(*arms, level=1 - 2 * rules.alpha)
    low = -compared.interval[1]
    state: State = "broken" if low > 0 else "holds"
    return Objective(
        name="conversion_loss", value=round(-compared.difference, 6), limit=0.0, low=round(low, 6), state=state,
        count=last.candidate_conversions, of=last.candidate_users,
    )  # fmt: skip


def _is_comparable(seen: Reward) -> bool:
    users = seen.champion_users + seen.candidate_users
    conversions = seen.champion_conversions + seen.candidate_conversions
    rarer = min(conversions, users - conversions)
    smaller = min(seen.champion_users, seen.candidate_users)
    return users > 0 and rarer * smaller / users >= EXPECTED_IN_EACH_CELL
