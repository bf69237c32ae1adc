"""What a canary must keep to, and what the evidence says of each objective: it holds, is broken, or stays open.

Every objective is a share of something that was counted, which can be tested without assumptions about its
distribution: 5xx among requests, slow answers among requests, other decisions among shadow-scored requests.
"p95 <= limit" is the share of answers slower than the limit, at most 5 %. The p95 that is shown comes from
a histogram's buckets and has no usable error; the share at a bucket's bound is exact, and binomial.

broken  The share's lower bound (Clopper and Pearson, 1934) is above the limit: chance does not explain it.
        The objective is looked at after each window, up to `max_windows` times, and each look is another chance to
        be wrong (Armitage, McPherson and Rowe, 1969). Each is therefore allowed (1 - confidence) / max_windows
        (Bonferroni): a canary exactly at its limit is rolled back for this objective, in the whole experiment,
        with a probability of at most 1 - confidence. For one far above it, this costs a few windows.
holds   There is enough evidence, and the share itself is within the limit. That is not a proof: 50 requests without
        an error only say, with 95 % confidence, that fewer than 3 / 50 fail (Hanley and Lippman-Hand, 1983). What
        holds at a small weight is tried at a larger one, where a mistake shows sooner.
open    Everything else: too little evidence, or a share above the limit that may be chance. Wait.

Evidence accumulates. One window of a small weight has few requests; all of the same weight together answer the
same question. Errors and latency depend on the load, so a new weight starts from nothing. Decisions do not:
disagreement counts all windows. With nothing counted the value is None and the objective open, never held.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from churn.experiment import compare_conversion
from churn.proportions import lower_bound
from churn.windows import Arm, Part, Reward, Shadow

SLOW_SHARE = 0.05  # what "95 of 100 within the limit" leaves
EXPECTED_IN_EACH_CELL = 5  # below it no z-test is to be trusted (Cochran, 1954)


class Rules(Part):
    """The limits, the weights in percent that follow each other, and when evidence is enough."""

    ladder: tuple[int, ...] = Field(min_length=1)
    min_requests: int = Field(ge=1)
    max_windows: int = Field(ge=1)
    error_rate: float = Field(ge=0, lt=1)
    latency_p95_ms: float = Field(gt=0)
    excess_disagreement: float = Field(0.05, ge=0, lt=1)
    expected_disagreement: float = Field(0.0, ge=0, le=1)
    shadow: bool = True
    reward: bool = False
    confidence: float = Field(0.99, gt=0.5, lt=1)

    @model_validator(mode="after")
    def _rising_to_all(self) -> Self:
        if list(self.ladder) != sorted(set(self.ladder)) or self.ladder[0] < 1 or self.ladder[-1] != 100:
            raise ValueError(f"the weights must rise to 100, not {self.ladder}")
        return self

    @property
    def alpha(self) -> float:
        """How often one look may call an objective broken by chance."""
        return (1 - self.confidence) / self.max_windows


class Objective(Part):
    """One objective as judged: `count` of `of` make `value`, whose lower bound is `low`; shares, not percent."""

    name: str
    value: float | None
    limit: float
    low: float | None
    state: Literal["holds", "broken", "open"]
    count: int
    of: int


class Window(Part):
    """What was seen between two readings, at a weight in percent; `number` counts from 1.

    `missing` says which metrics were not there, in a sentence; `objectives` are as judged after the window.
    """

    number: int = Field(ge=1)
    weight: int = Field(ge=0, le=100)
    seconds: float = Field(ge=0)
    champion: Arm = Arm()
    candidate: Arm = Arm()
    shadow: Shadow = Shadow()
    reward: Reward | None = None
    missing: str = ""
    objectives: tuple[Objective, ...] = ()


def judge_windows(windows: tuple[Window, ...], weight: int, rules: Rules) -> tuple[Objective, ...]:
    """Hold all that was seen against the rules, with `weight` as the one of today."""
    seen = [window.candidate for window in windows if window.weight == weight]
    requests = sum(arm.requests for arm in seen)
    objectives = [
        _share("error_rate", sum(arm.errors for arm in seen), requests, rules.error_rate, rules),
        _share("latency_p95", round(sum(arm.slow for arm in seen)), requests, SLOW_SHARE, rules),
    ]
    if rules.shadow:
        objectives.append(_disagreement([window.shadow for window in windows], rules))
    if rules.reward:
        objectives.append(_reward([window.reward for window in windows if window.reward], rules))
    return tuple(objectives)


def _share(name: str, count: int, of: int, limit: float, rules: Rules, expected: float = 0.0) -> Objective:
    """`expected` is what is to be seen anyway: value, limit and bound are what goes beyond it."""
    count = min(count, of)
    if not of:
        return Objective(name=name, value=None, limit=limit, low=None, state="open", count=0, of=0)
    value, low = count / of - expected, lower_bound(count, of, rules.alpha) - expected
    state: Literal["holds", "broken", "open"] = "open"
    if low > limit:
        state = "broken"
    elif of >= rules.min_requests and value <= limit:
        state = "holds"
    return Objective(name=name, value=round(value, 6), limit=limit, low=round(low, 6), state=state, count=count, of=of)


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
    state: Literal["holds", "broken"] = "broken" if low > 0 else "holds"
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
