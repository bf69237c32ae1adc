"""A good canary is promoted, a bad one is rolled back, and nobody is promoted in the dark."""

import itertools
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from churn.rollout import Arm, Reward, Rollout, Rules, Shadow, Window, advance, describe, judge, observed, start
from churn.rollout_plot import draw_rollout

RULES = Rules(
    ladder=(10, 25, 50, 100), min_requests=50, max_windows=30, error_rate=0.01, latency_p95_ms=100,
    excess_disagreement=0.05, expected_disagreement=0.03,
)  # fmt: skip
FINE = Arm(requests=200, p50_ms=2.0, p95_ms=8.0)
AGREEING = Shadow(scored=200, disagreeing=6)


def window(rollout: Rollout, arm: Arm = FINE, shadow: Shadow = AGREEING, champion: Arm = FINE, **other: Any) -> Window:
    arms = {"v1": champion, "v2": arm}
    return observed(len(rollout.windows) + 1, rollout.weight, 3.0, arms, "v1", "v2", shadow, **other)


def after(*arms: Arm, rules: Rules = RULES, shadow: Shadow = AGREEING, **other: Any) -> Rollout:
    rollout = start(rules)
    for arm in arms:
        rollout = advance(rollout, window(rollout, arm, shadow, **other), rules)
    return rollout


def state(rollout: Rollout, name: str) -> str:
    return next(each.state for each in rollout.windows[-1].objectives if each.name == name)


def simulated(
    seed: int,
    *,
    errors: float = 0.001,
    slow: float = 0.005,
    wrong: float = 0.03,
    refused: float = 0.0,
    refused_by_both: float = 0.0,
    burst: float = 0.0,
    rules: Rules = RULES,
) -> Rollout:
    """200 requests a second in windows of 3 s, each of them drawn by itself; `burst` hits both arms in one window."""
    draw, rollout = random.Random(seed), start(rules)

    def times(share: float, of: int) -> int:
        return sum(draw.random() < share for _ in range(of))

    def arm(requests: int, errors: float, slow: float, refused: float) -> Arm:
        now = burst if len(rollout.windows) == 1 else 0.0
        return Arm(requests=requests, errors=times(max(errors, now), requests),
                   slow=times(max(slow, now), requests), refused=times(refused, requests))  # fmt: skip

    while not rollout.verdict:
        requests = times(rollout.weight / 100, 600)
        candidate = arm(requests, errors, slow, refused + refused_by_both)
        champion = arm(600 - requests, 0.001, 0.005, refused_by_both)
        shadow = Shadow(scored=requests, disagreeing=times(wrong, requests))
        rollout = advance(rollout, window(rollout, candidate, shadow, champion), rules)
    return rollout


def verdicts(repeats: int = 60, **canary: Any) -> Counter[str]:
    return Counter(simulated(seed, **canary).verdict for seed in range(repeats))


# The way up


def test_a_good_canary_climbs_the_ladder_window_by_window_and_is_promoted() -> None:
    rollout, weights = start(RULES), []
    while not rollout.verdict:
        weights.append(rollout.weight)
        rollout = advance(rollout, window(rollout), RULES)
    assert weights == [10, 25, 50, 100]
    assert (rollout.verdict, rollout.weight) == ("promoted", 100)
    assert rollout.reason == "Every objective held at 10, 25, 50, 100 % of the traffic."


def test_too_few_requests_wait_and_those_of_the_same_weight_add_up() -> None:
    few = Arm(requests=30)
    assert after(few).weight == 10
    assert after(few, few).weight == 25
    assert after(few, few, few).weight == 25, "a new weight starts from nothing"


def test_decisions_are_evidence_at_every_weight_and_need_enough_of_it() -> None:
    scored = Shadow(scored=20)
    assert after(FINE, FINE, shadow=scored).weight == 10
    assert after(FINE, FINE, FINE, shadow=scored).weight == 25
    assert after(FINE, FINE, FINE, FINE, shadow=scored).weight == 50, "they are not collected again"


def test_without_shadow_scores_disagreement_is_not_judged() -> None:
    rules = RULES.model_copy(update={"shadow": False})
    rollout = after(FINE, FINE, FINE, FINE, rules=rules, shadow=Shadow())
    assert rollout.verdict == "promoted"
    assert {each.name for each in judge(rollout, rules)} == {"error_rate", "latency_p95"}


def test_a_canary_that_runs_at_a_larger_weight_is_never_lowered_to_the_first() -> None:
    rollout = start(RULES, running=30)
    assert rollout.weight == 30
    assert advance(rollout, window(rollout), RULES).weight == 50


def test_above_the_limit_but_perhaps_by_chance_is_neither_held_nor_broken() -> None:
    rollout = after(Arm(requests=200, errors=3))
    assert (state(rollout, "error_rate"), rollout.weight, rollout.verdict) == ("open", 10, "")


# The way down


@pytest.mark.parametrize(
    ("arm", "shadow", "said"),
    [
        (Arm(requests=200, errors=20), AGREEING, "20 of 200 requests failed (10.00%, allowed 1.00%)"),
        (Arm(requests=200, slow=190.0), AGREEING, "190 of 200 answers took longer than 100 ms (95.0%, allowed 5%)"),
        (FINE, Shadow(scored=200, disagreeing=46), "46 of 200 decisions differed from the champion's (+20.0% beyond"),
        (Arm(requests=5, errors=5), AGREEING, "5 of 5 requests failed"),
    ],
)  # fmt: skip
def test_a_broken_objective_takes_the_canary_back_at_once_and_says_why(arm: Arm, shadow: Shadow, said: str) -> None:
    rollout = after(arm, shadow=shadow)
    assert (rollout.verdict, rollout.weight) == ("rolled back", 0)
    assert said in rollout.reason


def test_one_unlucky_request_of_a_few_does_not_roll_a_canary_back() -> None:
    assert after(Arm(requests=5, errors=1)).verdict == ""


def test_where_no_error_is_allowed_the_first_one_is_enough() -> None:
    assert after(Arm(requests=500, errors=1), rules=RULES.model_copy(update={"error_rate": 0.0})).reason


def test_a_canary_that_turns_bad_at_full_weight_is_still_rolled_back() -> None:
    assert after(FINE, FINE, FINE, Arm(requests=200, errors=40)).verdict == "rolled back"


# Beside the champion


FAILING = Arm(requests=540, errors=108, slow=400)


def test_what_hits_both_arms_is_not_blamed_on_the_canary_which_waits() -> None:
    """A stall, a broken network: a fifth of all requests fail, whoever answers them."""
    rollout = after(Arm(requests=60, errors=13, slow=46), champion=FAILING)
    assert (rollout.verdict, rollout.weight) == ("", 10)
    assert (state(rollout, "error_rate"), state(rollout, "latency_p95")) == ("open", "open")
    said = describe(rollout.windows[-1].objectives[0], RULES)
    assert said.endswith("but 20.00% of the champion's too: it is not the canary's doing alone")


def test_a_canary_surely_worse_than_a_bad_champion_is_rolled_back() -> None:
    assert after(Arm(requests=60, errors=60), champion=FAILING).verdict == "rolled back"
    assert after(Arm(requests=60, slow=60), champion=Arm(requests=540, slow=100)).verdict == "rolled back"


def test_a_champion_that_was_bad_at_another_weight_excuses_nothing() -> None:
    rollout = after(Arm(requests=60), champion=FAILING)
    assert rollout.weight == 25
    assert advance(rollout, window(rollout, Arm(requests=60, errors=13)), RULES).verdict == "rolled back"


def test_a_canary_that_refuses_what_the_champion_takes_is_rolled_back() -> None:
    rollout = after(Arm(requests=60, refused=60))
    assert rollout.verdict == "rolled back"
    assert "60 of 60 requests failed, 60 of them refused beyond the champion's share (100.00%," in rollout.reason


def test_requests_that_both_refuse_are_the_clients_doing() -> None:
    refusing = Arm(requests=540, refused=108)
    assert after(Arm(requests=60, refused=12), champion=refusing).weight == 25
    assert after(Arm(requests=60, refused=50), champion=refusing).verdict == "rolled back"


def test_at_all_of_the_traffic_refusals_are_held_against_those_of_the_champion_before() -> None:
    refusing = Arm(requests=400, refused=40)
    rollout = after(*[Arm(requests=200, refused=20)] * 3, champion=refusing)
    assert rollout.weight == 100
    assert advance(rollout, window(rollout, Arm(requests=400, refused=40)), RULES).verdict == "promoted"
    assert advance(rollout, window(rollout, Arm(requests=400, refused=160)), RULES).verdict == "rolled back"


def test_refusals_that_nothing_can_be_held_against_promote_nobody_and_blame_nobody() -> None:
    rules = RULES.model_copy(update={"ladder": (100,), "max_windows": 2})
    assert after(*[Arm(requests=400, refused=200)] * 2, rules=rules).verdict == "undecided"


def test_a_state_from_before_refusals_were_counted_goes_on() -> None:
    old = after(FINE).model_dump(mode="json")
    for part in (*old["windows"][0]["objectives"], old["windows"][0]["champion"], old["windows"][0]["candidate"]):
        part.pop("refused")
        part.pop("champion", None)
    rollout = Rollout.model_validate(old)
    assert rollout.windows[0].candidate.refused == 0
    assert advance(rollout, window(rollout), RULES).weight == 50


# In the dark


def test_a_window_without_metrics_never_moves_the_weight_and_counts() -> None:
    rollout = start(RULES)
    for _ in range(RULES.max_windows):
        assert (rollout.verdict, rollout.weight) == ("", 10)
        dark = observed(len(rollout.windows) + 1, 10, 3.0, {"v1": FINE}, "v1", "v2", AGREEING)
        rollout = advance(rollout, dark, RULES)
    assert (rollout.verdict, rollout.weight) == ("undecided", 0)
    assert "30 windows had no metrics, the last one said: No metrics of v2 in this window." in rollout.reason


def test_counts_of_a_reading_that_failed_are_not_believed() -> None:
    dark = window(start(RULES), Arm(requests=900, errors=900), trouble="Prometheus does not answer.")
    rollout = advance(start(RULES), dark, RULES)
    assert (rollout.windows[0].candidate, rollout.windows[0].missing) == (Arm(), "Prometheus does not answer.")
    assert rollout.verdict == ""


def test_wrong_decisions_take_a_canary_back_also_while_its_metrics_are_missing() -> None:
    dark = window(start(RULES), shadow=Shadow(scored=200, disagreeing=80), trouble="Prometheus does not answer.")
    assert advance(start(RULES), dark, RULES).verdict == "rolled back"


def test_the_champions_metrics_are_due_only_while_it_has_traffic() -> None:
    assert observed(1, 50, 3.0, {"v2": FINE}, "v1", "v2").missing == "No metrics of v1 in this window."
    assert observed(1, 100, 3.0, {"v2": FINE}, "v1", "v2").missing == ""


def test_a_canary_without_requests_stays_and_ends_undecided() -> None:
    rollout = after(*[Arm()] * RULES.max_windows, shadow=Shadow())
    assert rollout.verdict == "undecided"
    assert "error_rate could not be measured" in rollout.reason


def test_windows_that_end_on_the_way_up_say_so() -> None:
    rules = RULES.model_copy(update={"max_windows": 2})
    rollout = after(FINE, FINE, rules=rules)
    assert (rollout.verdict, rollout.weight) == ("undecided", 0)
    assert "every objective held at 25 %, but no window was left for the next weight" in rollout.reason


def test_nan_is_no_count() -> None:
    with pytest.raises(ValidationError):
        Arm(requests=10, slow=float("nan"))
    with pytest.raises(ValidationError):
        Rules.model_validate({**RULES.model_dump(), "expected_disagreement": float("nan")})


def test_a_window_of_another_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="a window of 25 % does not continue a rollout at 10 %"):
        advance(start(RULES), observed(1, 25, 3.0, {"v2": FINE, "v1": FINE}, "v1", "v2"), RULES)


@pytest.mark.parametrize("ladder", [(10, 50), (50, 10, 100), (10, 10, 100), (0, 100)])
def test_weights_that_do_not_rise_to_all_are_refused(ladder: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="must rise to 100"):
        Rules.model_validate({**RULES.model_dump(), "ladder": ladder})


# What it is good for


def test_a_significant_loss_of_conversions_takes_the_canary_back_and_a_small_one_does_not() -> None:
    rules = RULES.model_copy(update={"reward": True})
    loss = Reward(champion_users=5000, champion_conversions=500, candidate_users=5000, candidate_conversions=350)
    chance = loss.model_copy(update={"candidate_conversions": 490})
    assert after(FINE, rules=rules, reward=loss).verdict == "rolled back"
    assert after(FINE, rules=rules, reward=chance).weight == 25


def test_too_few_conversions_to_compare_promote_nobody() -> None:
    rules = RULES.model_copy(update={"reward": True})
    few = Reward(champion_users=50, champion_conversions=3, candidate_users=6, candidate_conversions=1)
    assert after(FINE, rules=rules, reward=few).weight == after(FINE, rules=rules, reward=None).weight == 10


# How often it is right


def test_a_good_canary_is_promoted_nearly_always() -> None:
    assert verdicts()["promoted"] >= 59


def test_a_good_canary_is_promoted_also_where_clients_send_nonsense() -> None:
    """Less surely: the refusals of two arms differ by chance, and what is above the limit waits. Nobody is blamed."""
    ends = verdicts(refused_by_both=0.05)
    assert ends["promoted"] >= 54
    assert ends["rolled back"] == 0


@pytest.mark.parametrize("burst", [0.1, 0.3])
def test_a_burst_of_failures_of_both_arms_rolls_a_good_canary_back_hardly_ever(burst: float) -> None:
    assert verdicts(15, burst=burst)["rolled back"] == 0


@pytest.mark.parametrize("canary", [{"errors": 0.05}, {"slow": 0.99}, {"wrong": 0.226}, {"refused": 0.05}], ids=str)
def test_a_bad_canary_is_rolled_back_nearly_always_and_never_promoted(canary: dict[str, float]) -> None:
    ends = verdicts(**canary)
    assert ends["rolled back"] >= 59
    assert ends["promoted"] == 0


@pytest.mark.deep
@pytest.mark.parametrize("canary", [{"errors": 0.01}, {"slow": 0.05}, {"wrong": 0.08}, {"refused": 0.01}], ids=str)
def test_a_canary_exactly_at_its_limit_is_rolled_back_as_rarely_as_the_confidence_says(
    canary: dict[str, float],
) -> None:
    """Though it is looked at 30 times. At 90 % confidence, so that the claim can fail: 10 % of 300, and three sigma."""
    rules = RULES.model_copy(update={"confidence": 0.9})
    assert verdicts(300, rules=rules, **canary)["rolled back"] <= 30 + 3 * (300 * 0.1 * 0.9) ** 0.5


# Properties

counts = st.integers(0, 300)
arms = st.builds(
    lambda n, e, r, s: Arm(requests=n, errors=min(e, n), refused=min(r, n - min(e, n)), slow=min(s, n)),
    counts, counts, counts, counts,
)  # fmt: skip
shadows = st.builds(lambda n, d: Shadow(scored=n, disagreeing=min(d, n)), counts, counts)
scenes = st.tuples(arms, shadows, st.sampled_from(["", "", "", "No metrics."]))


def played(scenes: list[tuple[Arm, Shadow, str]]) -> list[Rollout]:
    rules, states = RULES.model_copy(update={"max_windows": 12}), [start(RULES)]
    for arm, shadow, trouble in scenes:
        weight = states[-1].weight
        seen = {"v1": FINE, "v2": arm}
        next_window = observed(len(states), weight, 3.0, seen, "v1", "v2", shadow, trouble=trouble)
        states.append(advance(states[-1], next_window, rules))
    return states


@given(st.lists(scenes, max_size=20))
@settings(max_examples=150, deadline=None)
def test_whatever_is_seen_the_weight_only_rises_or_is_gone_and_verdicts_are_final(
    scenes: list[tuple[Arm, Shadow, str]],
) -> None:
    states = played(scenes)
    for before, now in itertools.pairwise(states):
        if before.verdict:
            assert now is before
        elif now.weight != before.weight:
            assert now.weight > before.weight or (now.weight == 0 and now.verdict in ("rolled back", "undecided"))
        if now.windows and now.windows[-1].missing and now is not before:
            assert now.verdict != "promoted"
            assert now.weight <= before.weight
    assert len(states[-1].windows) <= 12
    assert states[-1].verdict != "" or len(states[-1].windows) == len(scenes)


@given(st.lists(scenes, max_size=8))
@settings(max_examples=50, deadline=None)
def test_a_rollout_survives_a_restart_as_json(scenes: list[tuple[Arm, Shadow, str]]) -> None:
    for rollout in played(scenes):
        assert Rollout.model_validate_json(rollout.model_dump_json()) == rollout
        assert Rollout.model_validate(rollout.model_dump(mode="json")) == rollout


WORSE = {"open": {"open", "broken"}, "broken": {"broken"}, "holds": {"holds", "open", "broken"}}


@given(arms, shadows, counts, counts, counts)
@settings(max_examples=200, deadline=None)
def test_more_failures_never_make_an_objective_better(
    arm: Arm, shadow: Shadow, errors: int, slow: int, wrong: int
) -> None:
    worse = arm.model_copy(
        update={"errors": min(arm.requests, arm.errors + errors), "slow": min(arm.requests, arm.slow + slow)}
    )
    disagreeing = shadow.model_copy(update={"disagreeing": min(shadow.scored, shadow.disagreeing + wrong)})
    before = after(arm, shadow=shadow).windows[-1].objectives
    now = after(worse, shadow=disagreeing).windows[-1].objectives
    assert all(new.state in WORSE[old.state] for old, new in zip(before, now, strict=True))


@given(arms, st.integers(1, 200))
@settings(max_examples=100, deadline=None)
def test_requests_that_all_fail_never_mend_what_is_broken(arm: Arm, more: int) -> None:
    rules = RULES.model_copy(update={"shadow": False})
    if state(after(arm, rules=rules), "error_rate") == "broken":
        added = arm.model_copy(update={"requests": arm.requests + more, "errors": arm.errors + more})
        assert state(after(added, rules=rules), "error_rate") == "broken"


# What is shown of it


def test_the_state_of_a_long_experiment_fits_into_an_annotation() -> None:
    """Kubernetes allows 256 KiB in all of an object's annotations."""
    rollout = after(*[Arm(requests=49, slow=1.234, p50_ms=1.234, p95_ms=12.345)] * 29, rules=RULES)
    per_window = len(rollout.model_dump_json()) / len(rollout.windows)
    assert per_window * 300 < 256 * 1024


@pytest.mark.parametrize("rollout", [start(RULES), after(Arm(requests=20)), simulated(1), simulated(1, errors=0.2)])
def test_a_picture_is_drawn_of_every_rollout_and_the_same_one_each_time(rollout: Rollout) -> None:
    drawn = draw_rollout(rollout, RULES)
    assert drawn.startswith(b"\x89PNG")
    assert drawn == draw_rollout(rollout, RULES)
