"""Two readings of the metrics become counts of a window, whatever processes did in between."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn.windows import Arm, between, latest, quantile, slower_than

BOUNDS = (0.05, 0.1, 0.2, math.inf)


@dataclass(frozen=True)
class Read:
    revision: str = "v2"
    instance: str = "a"
    at: float = 0.0
    requests: float = 0.0
    errors: float = 0.0
    refused: float = 0.0
    buckets: tuple[tuple[float, float], ...] = tuple((bound, 0.0) for bound in BOUNDS)


def read(at: float, requests: float, errors: float = 0, *counts: float, **names: str) -> Read:
    counted = counts or (requests,) * len(BOUNDS)
    return Read(at=at, requests=requests, errors=errors, buckets=tuple(zip(BOUNDS, counted, strict=True)), **names)


def test_a_window_is_the_difference_of_two_readings_by_revision() -> None:
    before = [read(1, 100, 5), read(1, 900, revision="v1")]
    after = [read(2, 150, 6, 140, 148, 149, 150), read(2, 1000, revision="v1")]
    arms = between(before, after, slower_than_ms=100)
    assert (arms["v2"].requests, arms["v2"].errors, arms["v2"].slow) == (50, 1, 2)
    assert (arms["v1"].requests, arms["v1"].errors, arms["v1"].slow) == (100, 0, 0)


def test_refusals_are_counted_apart_from_errors_and_tell_a_restart_too() -> None:
    before, after = replace(read(1, 100, 5), refused=7.0), replace(read(2, 150, 6), refused=17.0)
    arm = between([before], [after], 100)["v2"]
    assert (arm.requests, arm.errors, arm.refused) == (50, 1, 10)
    restarted = between([before], [replace(after, refused=2.0)], 100)["v2"]
    assert (restarted.requests, restarted.errors, restarted.refused) == (150, 6, 2)


def test_instances_of_one_revision_are_added_up() -> None:
    before = [read(1, 10), read(1, 20, instance="b")]
    assert between(before, [read(2, 13), read(2, 24, instance="b")], 100)["v2"].requests == 7


def test_a_restarted_process_counts_from_nothing_and_others_are_not_touched() -> None:
    before = [read(1, 1000, 30), read(1, 500, instance="b")]
    after = [read(2, 40, 2), read(2, 560, instance="b")]
    arm = between(before, after, 100)["v2"]
    assert (arm.requests, arm.errors) == (100, 2)


def test_a_restart_shows_in_any_counter_that_fell() -> None:
    """After a restart there may be more requests than before it, but not fewer fast ones."""
    assert between([read(1, 10, 3)], [read(2, 50, 1)], 100)["v2"].requests == 50
    assert between([read(1, 10, 0, 9, 9, 9, 10)], [read(2, 50, 0, 4, 50, 50, 50)], 100)["v2"].requests == 50


def test_a_new_instance_started_within_the_window() -> None:
    assert between([], [read(2, 8, 1)], 100)["v2"].requests == 8


def test_a_revision_that_was_not_read_anew_is_absent_which_is_not_the_same_as_idle() -> None:
    stale, idle = read(1, 10), read(1, 10, instance="b", revision="v1")
    arms = between([stale, idle], [stale, replace(idle, at=2.0)], 100)
    assert arms == {"v1": Arm()}
    assert between([stale], [], 100) == {}


def test_an_instance_that_did_not_answer_once_is_compared_with_what_it_said_before() -> None:
    first, last = read(1, 1000), read(3, 1010)
    assert between(latest([first], []), [last], 100)["v2"].requests == 10
    assert latest([first], [last]) == (last,)


def test_buckets_that_not_all_instances_have_are_left_out() -> None:
    coarse = Read(instance="b", at=2, requests=10, buckets=((0.1, 10.0), (math.inf, 10.0)))
    arm = between([], [read(2, 10, 0, 0, 5, 10, 10), coarse], 100)["v2"]
    assert (arm.requests, arm.slow) == (20, 5)


def test_quantiles_are_those_of_prometheus() -> None:
    """Worked by hand from the definition of histogram_quantile: linear within the bucket of the rank."""
    buckets = ((0.1, 50.0), (0.2, 90.0), (0.4, 100.0), (math.inf, 100.0))
    assert quantile(0.5, buckets) == pytest.approx(0.1)
    assert quantile(0.95, buckets) == pytest.approx(0.3)
    assert quantile(0.25, buckets) == pytest.approx(0.05)


def test_beyond_the_last_bound_the_quantile_is_that_bound_and_every_answer_counts_as_slow() -> None:
    buckets = ((0.1, 1.0), (2.5, 1.0), (math.inf, 100.0))
    assert quantile(0.95, buckets) == 2.5
    assert slower_than(0.1, buckets) == slower_than(60, buckets) == 99


def test_without_answers_there_is_no_quantile() -> None:
    assert quantile(0.95, ()) is None
    assert quantile(0.95, ((0.1, 0.0), (math.inf, 0.0))) is None
    assert between([], [Read(at=1)], 100)["v2"].p95_ms is None


def test_a_limit_between_two_bounds_is_interpolated() -> None:
    assert slower_than(0.15, ((0.1, 0.0), (0.2, 10.0), (math.inf, 10.0))) == pytest.approx(5)


@given(st.lists(st.floats(0.0005, 3.0), min_size=1, max_size=200), st.sampled_from([0.05, 0.1, 0.2]))
@settings(deadline=None)
def test_the_share_of_slow_answers_is_exact_at_a_bound_where_the_quantile_is_an_estimate(
    seconds: list[float], limit: float
) -> None:
    buckets = tuple((bound, float(sum(each <= bound for each in seconds))) for bound in BOUNDS)
    assert slower_than(limit, buckets) == sum(each > limit for each in seconds)
    estimate, true = quantile(0.95, buckets), float(np.quantile(seconds, 0.95, method="inverted_cdf"))
    above = next(bound for bound in BOUNDS if true <= bound)
    below = max((bound for bound in (0.0, *BOUNDS) if bound < true), default=0.0)
    assert estimate is not None
    assert below - 1e-9 <= estimate <= min(above, 0.2) + 1e-9, "the estimate is in the same bucket as the true quantile"
