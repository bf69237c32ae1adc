"""Groups of people by a sensitive column, or by two crossed.

The groups are those of the rows that a model was trained on: a group of which it learned nothing is refused, not
judged. Whoever's value is not known is a group of their own. Where the rarest categories are one group, "other", a
value that training had not is one of them: of rare values, there is always one more, and a refusal could not be mended.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

NOT_KNOWN, OTHER = "not known", "other"
MAX_GROUPS = 12  # more cannot be compared by eye, nor by tests that are not lost in their number
CROSS = " × "  # noqa: RUF001 (the sign of a product is meant)
Groups = npt.NDArray[np.object_]


class UnseenGroup(ValueError):
    """The hold-out has people of a group that training had not; the message says how many of which."""


@dataclass(frozen=True)
class Grouping:
    """How a column's values become groups: by `edges` where it holds numbers, else by its values."""

    column: str
    edges: tuple[float, ...]
    names: tuple[str, ...]

    def groups(self, values: "pd.Series[Any]") -> Groups:
        """The group of each value. Raises UnseenGroup for one that is none of `names` where OTHER is not among them."""
        found = _binned(values, self.edges) if self.edges else _named(values)
        allowed = {*self.names, NOT_KNOWN}
        if OTHER in self.names:
            return np.array([each if each in allowed else OTHER for each in found], dtype=object)
        unseen = sorted({str(each) for each in found} - allowed)
        if unseen:
            counted = ", ".join(f"{name} ({int((found == name).sum()):,} rows)" for name in unseen)
            raise UnseenGroup(f"Column {self.column!r} of the hold-out has groups that training had not: {counted}.")
        return found


def learn(values: "pd.Series[Any]", edges: Sequence[float] = ()) -> Grouping:
    """Find the groups of a column in the rows that were trained on.

    Numbers are cut at `edges`, or where there are none and more than MAX_GROUPS values, at their quartiles. Of more
    than MAX_GROUPS categories the rarest are one group, "other".
    """
    column = str(values.name)
    numbers = _numbers(values)
    if not edges and numbers is not None and len(np.unique(numbers[~np.isnan(numbers)])) > MAX_GROUPS:
        edges = np.unique(np.nanquantile(numbers, [0.25, 0.5, 0.75])).tolist()
    if edges:
        return Grouping(column, tuple(edges), _labels(tuple(edges), numbers))
    counted = pd.Series(_named(values)).value_counts()
    names = [str(name) for name in counted.index if name != NOT_KNOWN]
    kept = names if len(names) <= MAX_GROUPS else [*names[: MAX_GROUPS - 1], OTHER]
    return Grouping(column, (), tuple(sorted(kept, key=lambda name: (name == OTHER, name))))


def crossed(left: Groups, right: Groups) -> Groups:
    """The groups of two columns at once, such as "F × 30 to 44"."""  # noqa: RUF002
    return np.array([f"{one}{CROSS}{other}" for one, other in zip(left, right, strict=True)], dtype=object)


def order(groups: Groups, *groupings: Grouping) -> tuple[str, ...]:
    """The groups that are there, as their columns order them; "not known" last."""
    ranks = [{name: rank for rank, name in enumerate((*each.names, NOT_KNOWN))} for each in groupings]
    present = sorted(set(groups.tolist()))

    def rank(name: str) -> tuple[int, ...]:
        parts = name.split(CROSS) if len(ranks) > 1 else [name]
        return tuple(each.get(part, len(each)) for each, part in zip(ranks, parts, strict=False))

    return tuple(sorted(present, key=rank))


def _numbers(values: "pd.Series[Any]") -> npt.NDArray[np.float64] | None:
    if pd.api.types.is_bool_dtype(values.dtype):
        return None
    try:
        return np.asarray(pd.to_numeric(values).to_numpy(dtype=np.float64, na_value=np.nan))
    except (TypeError, ValueError):
        return None


def _named(values: "pd.Series[Any]") -> Groups:
    texts = values.astype(object)
    known = texts.where(texts.notna() & (texts.astype(str).str.strip() != ""), NOT_KNOWN).map(str)
    return np.asarray(known.to_numpy(dtype=object))


def _binned(values: "pd.Series[Any]", edges: tuple[float, ...]) -> Groups:
    numbers = _numbers(values)
    if numbers is None:
        raise UnseenGroup(f"Column {values.name!r} is cut into groups of numbers, but holds text.")
    names = np.array([*_labels(edges, None), NOT_KNOWN], dtype=object)
    place = np.searchsorted(np.array(edges), numbers, side="right")
    return np.asarray(names[np.where(np.isnan(numbers), len(names) - 1, place)])


def _labels(edges: tuple[float, ...], numbers: npt.NDArray[np.float64] | None) -> tuple[str, ...]:
    """Names of the groups between edges; of those that `numbers` has, where it is given."""
    whole = all(float(edge).is_integer() for edge in edges)
    last = [f"{edge - 1:g}" if whole else f"{edge:g}" for edge in edges]
    middle = (f"{low:g} to {high}" for low, high in zip(edges, last[1:], strict=False))
    names = (f"under {edges[0]:g}", *middle, f"{edges[-1]:g} and over")
    if numbers is None:
        return names
    present = set(np.searchsorted(np.array(edges), numbers[~np.isnan(numbers)], side="right").tolist())
    return tuple(name for place, name in enumerate(names) if place in present)
