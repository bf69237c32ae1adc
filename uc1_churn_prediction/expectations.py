"""What is expected of a snapshot, derived from the configuration: plain data, no Great Expectations in here.

Critical expectations stop the pipeline; warnings are reported and let it go on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from churn.features import same_label
from common.settings_uc1 import Uc1
from uc1_churn_prediction.results import RawCustomers

Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Expected:
    """One expectation: `name` for people, `kind` and `arguments` for Great Expectations."""

    name: str
    kind: str
    column: str = ""
    severity: Severity = "critical"
    arguments: Mapping[str, Any] = field(default_factory=dict)


def suite_of(uc1: Uc1, raw: RawCustomers, made: datetime, labels: Sequence[Any] = ()) -> tuple[Expected, ...]:
    """Every expectation of this snapshot, which was `made` then. Of a missing column only its existence.

    `labels` are the label's values as they are: which of them the configuration's positive one means is found here.
    """
    types = {column.name: column.type for column in raw.columns}
    whole = [Expected(f"at least {uc1.expectations.min_rows:,} rows", "ExpectTableRowCountToBeBetween",
                      arguments={"min_value": uc1.expectations.min_rows})]  # fmt: skip
    named = _named(uc1, raw, types)
    exist = [Expected("exists", "ExpectColumnToExist", name) for name in named]
    about = [
        *_key(raw),
        *_label(uc1, raw, types, labels),
        *_time(uc1, raw, made),
        *_values(uc1, types),
        *_nulls(uc1, raw, types),
    ]
    return tuple(whole + exist + [each for each in about if each.column in types])


def _named(uc1: Uc1, raw: RawCustomers, types: Mapping[str, str]) -> Sequence[str]:
    """Every column that the configuration speaks of, once, in the order of the table."""
    limits = uc1.expectations
    entity = [raw.entity] if raw.has_entity else []
    spoken = [*entity, raw.label, *filter(None, [raw.event_time]), *uc1.numeric, *uc1.categorical,
              *uc1.sensitive, *uc1.ordered, *limits.required, *limits.ranges, *limits.sets]  # fmt: skip
    order = list(types)
    return sorted(dict.fromkeys(spoken), key=lambda name: order.index(name) if name in types else len(order))


def _key(raw: RawCustomers) -> Iterator[Expected]:
    if not raw.has_entity:
        return
    yield Expected("has no nulls", "ExpectColumnValuesToNotBeNull", raw.entity)
    yield Expected("is unique", "ExpectColumnValuesToBeUnique", raw.entity)


def _label(uc1: Uc1, raw: RawCustomers, types: Mapping[str, str], labels: Sequence[Any]) -> Iterator[Expected]:
    yield Expected("has no nulls", "ExpectColumnValuesToNotBeNull", raw.label)
    if "string" in types.get(raw.label, ""):
        yield Expected("is never blank", "ExpectColumnValuesToNotMatchRegex", raw.label, arguments={"regex": r"^\s*$"})
    yield Expected("has both classes", "ExpectColumnUniqueValueCountToBeBetween", raw.label,
                   arguments={"min_value": 2})  # fmt: skip
    meant = [value for value in labels if same_label(value, uc1.positive_label)] or [uc1.positive_label]
    yield Expected(f"has the positive class {uc1.positive_label!r}", "ExpectColumnDistinctValuesToContainSet",
                   raw.label, arguments={"value_set": meant})  # fmt: skip
    yield Expected("has two classes and no third", "ExpectColumnUniqueValueCountToBeBetween", raw.label, "warning",
                   {"max_value": 2})  # fmt: skip


def _time(uc1: Uc1, raw: RawCustomers, made: datetime) -> Iterator[Expected]:
    """Later than uc1.as_of is an error; later than the snapshot itself, by clocks that may differ, a warning."""
    if raw.event_time is None:
        return
    yield Expected("has no nulls", "ExpectColumnValuesToNotBeNull", raw.event_time)
    bound = _in_utc(uc1.as_of or made)
    severity: Severity = "critical" if uc1.as_of else "warning"
    yield Expected("is not in the future", "ExpectColumnValuesToBeBetween", raw.event_time, severity,
                   {"max_value": bound})  # fmt: skip


def _values(uc1: Uc1, types: Mapping[str, str]) -> Iterator[Expected]:
    limits = uc1.expectations
    for column, (low, high) in limits.ranges.items():
        arguments = {"min_value": low, "max_value": high}
        given = {name: value for name, value in arguments.items() if value is not None}
        yield Expected(_range(low, high), "ExpectColumnValuesToBeBetween", column, arguments=given)
    for column, order in uc1.ordered.items():
        if column not in limits.sets:
            yield Expected(f"is one of the ordered {', '.join(order[:8])}", "ExpectColumnValuesToBeInSet", column,
                           "warning", {"value_set": [_as(types.get(column, ""), each) for each in order]})  # fmt: skip
    for column, values in limits.sets.items():
        known = [_as(types.get(column, ""), value) for value in values]
        said = ", ".join(values[:8]) + (", ..." if len(values) > 8 else "")
        yield Expected(f"is one of {said}", "ExpectColumnValuesToBeInSet", column, arguments={"value_set": known})


def _nulls(uc1: Uc1, raw: RawCustomers, types: Mapping[str, str]) -> Iterator[Expected]:
    limits = uc1.expectations
    checked = {raw.entity, raw.label, raw.event_time}
    for column in dict.fromkeys(limits.required):
        if column not in checked:
            yield Expected("has no nulls", "ExpectColumnValuesToNotBeNull", column)
    checked.update(limits.required)
    features = [*uc1.numeric, *uc1.categorical, *uc1.sensitive]
    features = features if uc1.numeric or uc1.categorical else list(types)
    for column in dict.fromkeys(features):
        if column not in checked:
            share = limits.max_null_share
            yield Expected(f"has at most {share:.0%} nulls", "ExpectColumnValuesToNotBeNull", column, "warning",
                           {"mostly": 1 - share})  # fmt: skip


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return f"is at most {high:g}"
    return f"is at least {low:g}" if high is None else f"is between {low:g} and {high:g}"


def _as(kind: str, value: str) -> Any:
    """A value of the configuration, which is text there, as a value of the column."""
    if kind == "bool":
        return value.lower() in {"true", "yes", "1"}
    try:
        return int(value) if kind.startswith(("int", "uint")) else float(value) if kind == "double" else value
    except ValueError:
        return value


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
