"""How the report, and the table on a terminal, show UC2's results."""

from typing import TYPE_CHECKING

from common.step import Section, Table

if TYPE_CHECKING:
    from churn.objectives import Objective, Window
    from churn.windows import Arm
    from uc2_ab_testing.results import CanaryDeployment, CanaryVerdict, ExperimentRun

TIMELINE = ("window", "weight", "champion: requests", "5xx", "p50 / p95 ms", "canary: requests", "5xx", "p50 / p95 ms",
            "other decisions", "objectives")  # fmt: skip
MARKS = {"holds": "✓", "broken": "✗", "open": "…"}


def canary(made: "CanaryDeployment") -> Section:
    """Who is served beside whom."""
    facts = (
        ("service", f"{made.namespace}/{made.service} at {made.url}"),
        ("champion", f"{made.champion.arm}, {made.champion.digest}"),
        ("candidate", f"{made.challenger.arm}, {made.challenger.digest}"),
        ("share of requests", f"{made.percent} %"), ("KServe's form", made.form),
        ("made bad on purpose", made.injected or "no"),
    )  # fmt: skip
    return Section(title="Canary", facts=facts)


def experiment(made: "ExperimentRun") -> Section:
    """The experiment, and what the models' difference was before anybody was served by it."""
    compared = f"{made.expected_disagreement:.2%} of {made.holdout_rows:,} rows decided differently"
    facts = (("experiment", f"{made.canary.namespace}/{made.name}"), ("on the hold-out", compared))
    return Section(title="Experiment", facts=facts)


def verdict(made: "CanaryVerdict") -> tuple[Section, ...]:
    """The end, the objectives that led to it, and every window."""
    sent = (("requests that we sent", f"{made.sent:,}, without an answer: {made.failed:,}"),) if made.sent else ()
    judged = Table(
        columns=("objective", "seen", "limit", "surely above", "counted", "state"),
        rows=tuple(objective_row(objective) for objective in made.objectives),
    )
    pictures = (("The canary's way, window by window", made.picture),) if made.picture else ()
    return (
        Section(title=f"Canary {made.verdict}", facts=(("why", made.reason), *sent), table=judged, pictures=pictures),
        Section(title="Timeline", table=Table(columns=TIMELINE, rows=tuple(timeline_row(w) for w in made.windows))),
    )


def objective_row(seen: "Objective") -> tuple[str, ...]:
    """An objective as text: its value, its limit, how sure it is."""
    counted = f"{seen.count:,} of {seen.of:,}"
    return (seen.name, _share(seen.value), _share(seen.limit), _share(seen.low), counted, seen.state)


def timeline_row(window: "Window") -> tuple[str, ...]:
    """A window as text, in the order of TIMELINE."""
    shadow = f"{window.shadow.disagreeing:,} of {window.shadow.scored:,}" if window.shadow.scored else "-"
    judged = " ".join(f"{MARKS[each.state]} {each.name}" for each in window.objectives)
    return (str(window.number), f"{window.weight} %", *_arm(window.champion), *_arm(window.candidate), shadow,
            window.missing or judged)  # fmt: skip


def _arm(arm: "Arm") -> tuple[str, str, str]:
    failed = f"{arm.errors:,}" + (f", {arm.refused:,} refused" if arm.refused else "")
    return (f"{arm.requests:,}", failed, f"{_ms(arm.p50_ms)} / {_ms(arm.p95_ms)}")


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"
