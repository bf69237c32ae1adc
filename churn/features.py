"""The one place where a customer's columns become a model's inputs.

Numbers become float32 with NaN for "not known", categories become text with one fixed token for "not known",
labels become 0 and 1. Casting to float32 here, before training, is what makes the ONNX model answer as the
scikit-learn model does: trees split at values that float32 can hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from churn.customers import IntArray, UnfitForTraining

MISSING_CATEGORY = ""  # a null and an empty text mean the same: nobody filled it in
MAX_CATEGORIES = 100  # a text column with more distinct values is an id or free text, not a category
# Names that the rows of a training frame, the served model or the log of its answers use themselves.
RESERVED = {
    "label": "the served model answers by that name",
    "probabilities": "the served model answers by that name",
    "event_timestamp": "the feature store calls a row's time so",
    "__label__": "training calls the label so",
    "__holdout__": "training marks the hold-out so",
}
TRUE_WORDS = frozenset({"1", "1.0", "true", "t", "yes", "y"})
FALSE_WORDS = frozenset({"0", "0.0", "false", "f", "no", "n"})


@dataclass(frozen=True)
class FeatureColumns:
    """The model's inputs, in the order in which the model takes them."""

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return self.numeric + self.categorical


def as_features(frame: pd.DataFrame, columns: FeatureColumns) -> pd.DataFrame:
    """Return the model's inputs: float32 columns, then text columns, with the index of `frame`.

    Infinite numbers, and those beyond float32, count as not known.
    """
    numbers = {name: _as_float32(frame[name]) for name in columns.numeric}
    texts = {name: _as_text(frame[name]) for name in columns.categorical}
    return pd.DataFrame({**numbers, **texts}, index=frame.index)


def _as_float32(values: pd.Series) -> npt.NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):
            numbers = pd.to_numeric(_without_blanks(values)).to_numpy(dtype=np.float32, na_value=np.nan)
    except (TypeError, ValueError) as error:
        said = str(error).removeprefix("Unable to parse string ").split(" at position")[0]
        raise UnfitForTraining(f"Column {values.name!r} is named as numeric but holds text: {said}.") from error
    return np.where(np.isfinite(numbers), numbers, np.float32("nan"))


def _without_blanks(values: pd.Series) -> pd.Series:
    """A text that is blank is a number that nobody filled in."""
    if not pd.api.types.is_object_dtype(values.dtype):
        return values
    blank = values.map(lambda value: isinstance(value, str) and not value.strip())
    return values.mask(blank.astype(bool))


def _as_text(values: pd.Series) -> npt.NDArray[np.object_]:
    texts = values.astype(object)
    known = texts.where(texts.notna(), MISSING_CATEGORY).map(category)
    return np.asarray(known.to_numpy(dtype=object))


def category(value: Any) -> str:
    """A category as text: 1 and 1.0 are one, so that nulls in a column of whole numbers change no other value."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if not isinstance(value, str) or value.strip() else MISSING_CATEGORY


def as_labels(values: pd.Series, positive: Any) -> IntArray:
    """Return 1 where a label equals `positive`, else 0.

    True, 1, 1.0, "yes" and "true" are one value, and so are their opposites. Raises UnfitForTraining for nulls.
    """
    nulls = int((values.isna() | values.map(lambda value: isinstance(value, str) and not value.strip())).sum())
    if nulls:
        raise UnfitForTraining(f"{nulls} rows have no label in column {values.name!r}.")
    meaning: Mapping[Any, bool] = {value: same_label(value, positive) for value in values.unique()}
    return np.asarray(values.map(meaning).to_numpy(dtype=np.int8))


def same_label(value: Any, positive: Any) -> bool:
    """Whether two labels mean the same: True, 1, "1.0" and "Yes" do."""
    return _canonical(value) == _canonical(positive)


def _canonical(value: Any) -> str:
    word = str(value).strip().lower()
    if word in TRUE_WORDS:
        return "1"
    if word in FALSE_WORDS:
        return "0"
    try:
        number = float(word)
    except ValueError:
        return word
    return str(int(number)) if number.is_integer() else word
