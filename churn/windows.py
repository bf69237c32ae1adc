"""What a window of an experiment showed: counts between two readings of the model servers' metrics.

Counters only rise, and start from nothing when their process does. What happened in a window is the difference
of two readings, instance by instance, so that a restarted or added model server is counted right.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field

Buckets = tuple[tuple[float, float], ...]  # (upper bound in seconds, answers up to there), the last one infinite


class Part(BaseModel):
    """A frozen part of an experiment's state, which is kept as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Arm(Part):
    """One revision in one window: `errors` are answers of 5xx, `refused` of 4xx, `slow` beyond the latency objective.

    The quantiles need answers. A state that was written before refusals were counted has none.
    """

    requests: int = Field(0, ge=0)
    errors: int = Field(0, ge=0)
    refused: int = Field(0, ge=0)
    slow: float = Field(0.0, ge=0)
    p50_ms: float | None = None
    p95_ms: float | None = None


class Shadow(Part):
    """Requests of the canary that the champion scored too, and those where it decided otherwise."""

    scored: int = Field(0, ge=0)
    disagreeing: int = Field(0, ge=0)


class Reward(Part):
    """Users and conversions of both arms, counted from the experiment's start."""

    champion_users: int = Field(ge=0)
    champion_conversions: int = Field(ge=0)
    candidate_users: int = Field(ge=0)
    candidate_conversions: int = Field(ge=0)


class Sample(Protocol):
    """One instance's counters as they were at a time, in seconds since 1970."""

    @property
    def revision(self) -> str: ...
    @property
    def instance(self) -> str: ...
    @property
    def at(self) -> float: ...
    @property
    def requests(self) -> float: ...
    @property
    def errors(self) -> float: ...
    @property
    def refused(self) -> float: ...
    @property
    def buckets(self) -> Buckets: ...


Samples = Iterable[Sample]


def latest(before: Samples, after: Samples) -> tuple[Sample, ...]:
    """Return the newest sample of each instance: the `before` of the next window.

    An instance that did not answer once is then compared with what it said earlier, not taken for a new one.
    """
    ordered = sorted((*before, *after), key=lambda sample: sample.at)
    return tuple({(sample.revision, sample.instance): sample for sample in ordered}.values())


def between(before: Samples, after: Samples, slower_than_ms: float) -> dict[str, Arm]:
    """Return what each revision did between two readings.

    A revision none of whose instances was read anew is absent: nobody knows what it did, which is not "nothing".
    An instance that was not there before started within the window; one that is gone takes its last counts along.
    """
    earlier = {(sample.revision, sample.instance): sample for sample in before}
    done: dict[str, list[_Counts]] = {}
    for sample in after:
        known = earlier.get((sample.revision, sample.instance))
        if known is None or sample.at > known.at:
            done.setdefault(sample.revision, []).append(_since(known, sample))
    return {revision: _arm(counts, slower_than_ms / 1000) for revision, counts in done.items()}


class _Counts(NamedTuple):
    requests: float
    errors: float
    refused: float
    buckets: dict[float, float]


def _since(known: Sample | None, sample: Sample) -> _Counts:
    now = _Counts(sample.requests, sample.errors, sample.refused, dict(sample.buckets))
    if known is None:
        return now
    then = _Counts(known.requests, known.errors, known.refused, dict(known.buckets))
    falls = [old > new for old, new in zip(then[:-1], now[:-1], strict=True)]
    falls += [count > now.buckets.get(bound, math.inf) for bound, count in then.buckets.items()]
    if any(falls):  # the process is a new one: it counted all of this by itself
        return now
    buckets = {bound: count - then.buckets.get(bound, 0.0) for bound, count in now.buckets.items()}
    errors, refused = now.errors - then.errors, now.refused - then.refused
    return _Counts(now.requests - then.requests, errors, refused, buckets)


def _arm(counts: list[_Counts], limit: float) -> Arm:
    shared = set.intersection(*(set(each.buckets) for each in counts))  # what all have counted up to
    buckets = tuple((bound, sum(each.buckets[bound] for each in counts)) for bound in sorted(shared))
    p50, p95 = quantile(0.50, buckets), quantile(0.95, buckets)
    return Arm(
        requests=round(sum(each.requests for each in counts)),
        errors=round(sum(each.errors for each in counts)),
        refused=round(sum(each.refused for each in counts)),
        slow=round(slower_than(limit, buckets), 3),
        p50_ms=None if p50 is None else round(p50 * 1000, 3),
        p95_ms=None if p95 is None else round(p95 * 1000, 3),
    )


def quantile(q: float, buckets: Buckets) -> float | None:
    """Return the q-quantile in seconds as Prometheus' histogram_quantile estimates it; None without answers.

    Within a bucket answers count as evenly spread; beyond the last finite bound, that bound is the answer.
    """
    total = buckets[-1][1] if buckets else 0.0
    if not total > 0:
        return None
    rank, low, below = q * total, 0.0, 0.0
    for bound, count in buckets:
        if count >= rank and count > below:
            return low if math.isinf(bound) else low + (bound - low) * (rank - below) / (count - below)
        low, below = bound, count
    return low


def slower_than(limit: float, buckets: Buckets) -> float:
    """Return how many answers took longer than `limit` seconds, interpolated in its bucket; exact at a bound.

    Answers beyond the last finite bound count as slower, whatever the limit: nobody knows how long they took.
    """
    low, below = 0.0, 0.0
    for bound, count in buckets:
        if limit < bound:
            within = 0.0 if math.isinf(bound) else (limit - low) / (bound - low)
            return buckets[-1][1] - below - within * (count - below)
        low, below = bound, count
    return 0.0
