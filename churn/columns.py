"""Which column of a table is what, decided from a few facts of each: the model's inputs, and what is left out, and why.

The facts are counted elsewhere; here is only judgement, so that the same rules hold for a table that is trained on
and for one whose configuration is being proposed.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from churn.customers import UnfitForTraining
from churn.features import MAX_CATEGORIES, RESERVED, FeatureColumns

Kind = Literal["number", "boolean", "text", "time", "other"]
ID_NAME = re.compile(r"(^|[\W_]|(?<=[a-z]))(id|ID|Id|uuid|guid|key|rownum|row ?number|index)$"
                     r"|^(id|row|unnamed|column \d)|(?i:customer ?num|client ?num|account ?n|rownumber)")  # fmt: skip
CODE_VALUES = 20  # a text column of numbers with so few values is a category that is written in digits


@dataclass(frozen=True)
class ColumnFacts:
    """A column as counted over all rows. `values` are the distinct ones, most frequent first, where they are few."""

    name: str
    kind: Kind
    rows: int
    nulls: int = 0
    distinct: int = 0
    is_whole: bool = False
    low: float | None = None
    high: float | None = None
    blanks: int = 0
    numbers: int = 0
    """Values that are text and read as a number."""
    values: tuple[str, ...] = ()

    @property
    def known(self) -> int:
        """Rows that say something."""
        return self.rows - self.nulls - self.blanks

    @property
    def is_unique(self) -> bool:
        """No two rows have the same value, and none has none."""
        return self.known == self.rows == self.distinct

    @property
    def is_row_number(self) -> bool:
        """Whole numbers without a gap, each once."""
        return (
            self.is_unique and self.is_whole and self.high is not None and self.high - (self.low or 0) == self.rows - 1
        )

    @property
    def is_numbers_as_text(self) -> bool:
        """Text of which every value is a number, too many for a category."""
        return self.kind == "text" and 0 < self.known == self.numbers and self.distinct > CODE_VALUES

    @property
    def looks_like_an_id(self) -> bool:
        """Each row has another value: a text, or whole numbers without a gap or with a name that says id."""
        named = self.kind == "number" and self.is_whole and bool(ID_NAME.search(self.name))
        return self.is_unique and (self.kind == "text" or self.is_row_number or named)


@dataclass(frozen=True)
class Chosen:
    """The model's inputs, and every other column with the reason why it is none."""

    columns: FeatureColumns
    left_out: tuple[tuple[str, str], ...] = ()
    inferred: bool = False


def choose_columns(
    facts: Sequence[ColumnFacts],
    *,
    numeric: Iterable[str] = (),
    categorical: Iterable[str] = (),
    ordered: Iterable[str] = (),
    excluded: Mapping[str, str] | None = None,
) -> Chosen:
    """Take the columns that the configuration names; where it names none, infer both kinds from the facts.

    `excluded` are columns that are something else (entity, label, ...) and what; `ordered` ones are categories.
    Raises UnfitForTraining where a named column is missing, or nothing is left to learn from.
    """
    numeric, categorical, ordered, excluded = tuple(numeric), tuple(categorical), tuple(ordered), excluded or {}
    known, left_out = {each.name for each in facts}, []
    inferred = not numeric and not categorical
    if inferred:
        kinds = {each.name: _kind(each, ordered, excluded) for each in facts}
        numeric = tuple(name for name, (kind, _) in kinds.items() if kind == "numeric")
        categorical = tuple(name for name, (kind, _) in kinds.items() if kind == "categorical")
        left_out = [(name, why) for name, (kind, why) in kinds.items() if not kind]
    missing = [name for name in (*numeric, *categorical, *ordered) if name not in known]
    if missing:
        raise UnfitForTraining(f"The table has no column {', '.join(missing)}, which the configuration names.")
    if not numeric + categorical:
        raise UnfitForTraining("The table has no column to learn from besides its id, label and times.")
    refuse_names((*numeric, *categorical))
    return Chosen(FeatureColumns(numeric, categorical), tuple(left_out), inferred)


def refuse_names(names: Iterable[str]) -> None:
    """Raise UnfitForTraining for features that are called like something of ours."""
    for name in names:
        if name in RESERVED:
            raise UnfitForTraining(f"A feature may not be called {name!r}: {RESERVED[name]}; rename it in a query.")


def _kind(facts: ColumnFacts, ordered: Sequence[str], excluded: Mapping[str, str]) -> tuple[str, str]:
    """numeric, categorical, or "" and the reason."""
    if facts.name in excluded:
        return "", excluded[facts.name]
    if facts.name in ordered:
        return "categorical", "its values have an order"
    if why := why_useless(facts):
        return "", why
    if facts.kind in ("number", "boolean") or facts.is_numbers_as_text:
        return "numeric", f"{facts.distinct:,} numbers"
    return "categorical", f"{facts.distinct:,} values"


def why_useless(facts: ColumnFacts) -> str:
    """Why nothing can be learned from a column; "" where something can."""
    if not facts.known:
        return "no value at all"
    if facts.kind == "time":
        return "a time: turn it into an age or a count in a query"
    if facts.kind == "other":
        return "neither numbers nor text"
    if facts.distinct <= 1 and facts.known == facts.rows:
        return "constant: one value in every row"
    if facts.looks_like_an_id:
        return "an id: another value in each row"
    if facts.kind == "text" and not facts.is_numbers_as_text and facts.distinct > MAX_CATEGORIES:
        return f"an id or free text: {facts.distinct:,} values in {facts.rows:,} rows"
    return ""
