"""What a table that nobody has described is probably about: its id, label, time and features, each with the reason.

Only guesses that a person then reads, in the order of how sure they are: names that such tables use, and what the
values allow. Where several columns could be the label, the others are named as candidates.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from churn.columns import ColumnFacts, choose_columns, why_useless
from churn.features import TRUE_WORDS, FeatureColumns

LABEL_NAME = re.compile(r"churn|attrit|exit|left|leave|cancel|default|fraud|convert|target|label|outcome|response|"
                        r"stay|retain|subscribed|^y$|^class$", re.IGNORECASE)  # fmt: skip
STRONG_NAME = re.compile(r"churn|attrit|exited|^left$|target|label|^y$|^class$", re.IGNORECASE)
POSITIVE = re.compile(r"churn|attrit|left|leave|gone|cancel|exit|lost|quit|yes|true|bad|fraud", re.IGNORECASE)
NEGATIVE = re.compile(r"not?\b|non|stay|exist|active|retain|loyal|false|good", re.IGNORECASE)
TIME_NAME = re.compile(r"observ|snapshot|event|as.?of|date|time|stamp|month|_at$", re.IGNORECASE)
SENSITIVE_NAME = re.compile(r"(^|[\W_])(gender|sex|age|race|ethnic\w*|nationality|religion|marital\w*|disab\w*"
                            r"|senior\w*)($|[\W_])|^(SeniorCitizen|Gender|Age)$", re.IGNORECASE)  # fmt: skip
ORDERS = (
    ("low", "mid", "high"), ("low", "medium", "high"), ("small", "medium", "large"), ("bronze", "silver", "gold"),
    ("none", "low", "medium", "high"), ("never", "rarely", "sometimes", "often", "always"),
    ("primary", "secondary", "tertiary"), ("blue", "silver", "gold", "platinum"),
)  # fmt: skip
GONE = re.compile(r"churn|attrit|exited|cancel", re.IGNORECASE)  # said by one of the values of a status
DENIED = re.compile(r"\s*(no|not|never)\b|\s*(un|non)", re.IGNORECASE)
UNKNOWN_WORDS = frozenset({"unknown", "other", "na", "n/a", "none", "?", ""})
# Names of ids where nothing else is one; elsewhere a number is a number.
NUMBER_NAME = re.compile(r"([\W_]|(?<=[a-z]))(Number|Num|Nr|No|NUMBER|NUM|NR|NO)\.?$|[\W_](number|nr|no)\.?$"
                         r"|^(?i:customer|client|user|member|account|subscriber|policy|phone|msisdn)$")  # fmt: skip
MAX_SET = 20
MAX_STATES = 6


@dataclass(frozen=True)
class Proposal:
    """Settings that a table could be used with. `why` has a reason for each setting and each column."""

    entity: str | None
    label: str | None
    positive_label: Any
    event_time: str | None
    columns: FeatureColumns
    ordered: dict[str, tuple[str, ...]]
    sensitive: tuple[str, ...]
    dropped: tuple[str, ...]
    ranges: dict[str, tuple[float | None, float | None]]
    sets: dict[str, tuple[str, ...]]
    why: dict[str, str] = field(default_factory=dict)


def propose(facts: Sequence[ColumnFacts], *, label: str | None = None, entity: str | None = None) -> Proposal:
    """Propose what each column is. A label or an entity that is given is taken. Raises UnfitForTraining."""
    by_name = {each.name: each for each in facts}
    why: dict[str, str] = {}
    entity = entity or _entity(facts, why)
    label = label or _label([each for each in facts if each.name != entity], why)
    why["positive_label"] = "goes with the label"
    positive = _positive(by_name[label], why) if label in by_name else True
    event_time = _event_time(facts, why)
    sensitive = tuple(each.name for each in facts if SENSITIVE_NAME.search(each.name) and 1 < each.distinct <= 100
                      and each.name not in (entity, label))  # fmt: skip
    taken = {name: "" for name in (entity, label, event_time) if name}
    useless = {each.name: why_useless(each) for each in facts if each.name not in taken}
    dropped = tuple(name for name, reason in useless.items() if reason)
    columns = choose_columns(facts, excluded={**taken, **dict.fromkeys(dropped, "")}).columns
    _reasons(by_name, columns, useless, sensitive, why)
    ordered = {name: order for name in columns.categorical if (order := _order(by_name[name]))}
    return Proposal(
        entity, label, positive, event_time, columns, ordered, sensitive, dropped,
        {name: _range(by_name[name]) for name in columns.numeric if by_name[name].low is not None},
        {n: by_name[n].values for n in columns.categorical if n not in ordered and _is_closed(by_name[n])},
        why,
    )  # fmt: skip


def _entity(facts: Sequence[ColumnFacts], why: dict[str, str]) -> str | None:
    ids = [each for each in facts if each.looks_like_an_id]
    if not ids:
        ids = [each for each in facts if each.kind == "number" and each.is_unique and each.is_whole
               and NUMBER_NAME.search(each.name)]  # fmt: skip
    if not ids:
        why["entity"] = "no column is an id that every row has once: rows are known by their number"
        return None
    # A row number is an id only where nothing better is there.
    best = min(ids, key=lambda each: (each.is_row_number, not re.search(r"cust|client|user|account", each.name, re.I)))
    why["entity"] = f"{best.distinct:,} values in {best.rows:,} rows: each row has its own"
    return best.name


def _label(facts: Sequence[ColumnFacts], why: dict[str, str]) -> str | None:
    """A column of two values, best one that is named like a label; among equals the last, where labels mostly stand.

    Or a status, where nothing of two values has so clear a name: a few values of which one says that they are gone.
    """
    fitting = [each for each in facts if each.known == each.rows and (len(each.values) == 2 or _is_status(each))]
    if not fitting:
        why["label"] = "no column has exactly two values in every row: set it, or make one in a query"
        return None
    *others, best = sorted(fitting, key=_fitness)
    names = [each.name for each in reversed(others)][:6]
    why["label"] = _why_label(best) + (f"; or {', '.join(names)}" if names else "")
    return best.name


def _fitness(facts: ColumnFacts) -> tuple[bool, bool, bool]:
    """How well a column fits as the label: the greater the better."""
    named = len(facts.values) == 2 and bool(LABEL_NAME.search(facts.name))
    return bool(STRONG_NAME.search(facts.name)), named, _is_status(facts)


def _is_status(facts: ColumnFacts) -> bool:
    few = facts.kind == "text" and 2 < facts.distinct == len(facts.values) <= MAX_STATES
    return few and len(_gone(facts)) == 1


def _gone(facts: ColumnFacts) -> list[str]:
    return [value for value in facts.values if GONE.search(value) and not DENIED.match(value)]


def _why_label(facts: ColumnFacts) -> str:
    if len(facts.values) > 2:
        return f"one of {', '.join(facts.values)} says it; the others count as no"
    named = "its name says so" if LABEL_NAME.search(facts.name) else "a guess: the last column of two values"
    return f"two values, {' and '.join(facts.values)}; {named}"


def _positive(facts: ColumnFacts, why: dict[str, str]) -> Any:
    """The value that means yes: by its words, else the rarer one."""
    if facts.kind == "boolean":
        why["positive_label"] = "true"
        return True
    gone = _gone(facts) if _is_status(facts) else []
    words = [value for value in facts.values if value.strip().lower() in TRUE_WORDS]
    said = [value for value in facts.values if POSITIVE.search(value) and not NEGATIVE.match(value)]
    chosen = next(iter([*gone, *words, *said]), None)
    why["positive_label"] = (
        "the value that says yes" if chosen is not None else "the rarer value: turn it round if wrong"
    )
    chosen = chosen if chosen is not None else (facts.values or ("1",))[-1]
    return _number(chosen) if facts.kind == "number" else chosen


def _number(text: str) -> int | float:
    return int(float(text)) if float(text).is_integer() else float(text)


def _event_time(facts: Sequence[ColumnFacts], why: dict[str, str]) -> str | None:
    times = [each for each in facts if each.kind == "time" and each.known == each.rows]
    if not times:
        why["event_time"] = "no column is a time in every row: all rows count as of one moment"
        return None
    best = max(times, key=lambda each: bool(TIME_NAME.search(each.name)))
    why["event_time"] = "a time in every row" + (
        f"; or {', '.join(each.name for each in times if each is not best)}" if len(times) > 1 else ""
    )
    return best.name


def _reasons(
    facts: dict[str, ColumnFacts], columns: FeatureColumns, useless: dict[str, str], sensitive: Sequence[str],
    why: dict[str, str],
) -> None:  # fmt: skip
    for name in columns.numeric:
        each = facts[name]
        kind = "text that is numbers" if each.kind == "text" else f"{each.distinct:,} different numbers"
        why[name] = kind if each.kind != "boolean" else "true or false"
    for name in columns.categorical:
        why[name] = f"{facts[name].distinct:,} different values"
    for name in columns.names:
        missing = facts[name].nulls + facts[name].blanks
        why[name] += f", {missing / facts[name].rows:.1%} missing" if missing else ""
        why[name] += (
            "; sensitive by its name: leave it out of the features if it may not decide" if name in sensitive else ""
        )
    why.update({name: reason for name, reason in useless.items() if reason})


def _order(facts: ColumnFacts) -> tuple[str, ...]:
    """Values whose order is known: common words, or ranges of numbers such as "$40K - $60K"."""
    known = [value for value in facts.values if value.strip().lower() not in UNKNOWN_WORDS]
    lowered = {value.strip().lower(): value for value in known}
    for order in ORDERS:
        if len(lowered) > 1 and set(lowered) <= set(order):
            return tuple(lowered[word] for word in order if word in lowered)
    bounds = {value: [float(number) for number in re.findall(r"\d+(?:\.\d+)?", value)] for value in known}
    if len(known) > 2 and all(bounds.values()):
        less = {value: bool(re.search(r"less|under|below|<", value, re.IGNORECASE)) for value in known}
        more = {value: bool(re.search(r"more|over|above|>|\+", value, re.IGNORECASE)) for value in known}
        ranged = sum(len(numbers) > 1 or less[value] or more[value] for value, numbers in bounds.items())
        if ranged == len(known):
            return tuple(sorted(known, key=lambda value: (bounds[value][0], more[value] - less[value])))
    return ()


def _is_closed(facts: ColumnFacts) -> bool:
    return 1 < facts.distinct <= MAX_SET and len(facts.values) == facts.distinct


def _range(facts: ColumnFacts) -> tuple[float | None, float | None]:
    """Not below zero where nothing is; else open: what was seen once is no law."""
    return (0, None) if facts.low is not None and facts.low >= 0 else (None, None)
