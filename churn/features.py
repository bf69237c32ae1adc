"""The one place where a customer's columns become a model's inputs.

Numbers become float32 with NaN for "not known", categories become text with one fixed token for "not known",
labels become 0 and 1. Casting to float32 here, before training, is what makes the ONNX model answer as the
scikit-learn model does: trees split at values that float32 can hold.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from churn.customers import IntArray, UnfitForTraining

MISSING_CATEGORY = ""  # a null and an empty text mean the same: nobody filled it in
MAX_CATEGORIES = 100  # a text column with more distinct values is an id or free text, not a category
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


def choose_columns(
    frame: pd.DataFrame,
    *,
    numeric: Iterable[str] = (),
    categorical: Iterable[str] = (),
    excluded: Iterable[str | None] = (),
) -> FeatureColumns:
    """Take the columns that the configuration names; where it names none, infer both kinds from the data.

    Inference leaves out `excluded` (entity, label, event time, dropped columns), times, and text with more than
    MAX_CATEGORIES distinct values.
    """
    numeric, categorical = tuple(numeric), tuple(categorical)
    if not numeric and not categorical:
        kinds = {name: _kind(frame[name]) for name in frame.columns if name not in set(excluded)}
        numeric = tuple(name for name, kind in kinds.items() if kind == "numeric")
        categorical = tuple(name for name, kind in kinds.items() if kind == "categorical")
    missing = [name for name in numeric + categorical if name not in frame.columns]
    if missing:
        raise UnfitForTraining(f"The table has no column {', '.join(missing)}, which the configuration names.")
    if not numeric + categorical:
        raise UnfitForTraining("The table has no column to learn from besides its id, label and times.")
    return FeatureColumns(numeric, categorical)


def _kind(values: pd.Series) -> str:
    if pd.api.types.is_numeric_dtype(values.dtype):  # booleans are numbers too
        return "numeric"
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return "time"
    known = values.dropna()
    if len(known) and pd.api.types.infer_dtype(known, skipna=True) in ("decimal", "boolean", "integer", "floating"):
        return "numeric"
    if pd.api.types.infer_dtype(known, skipna=True) not in ("string", "categorical", "empty"):
        return "other"
    return "categorical" if known.nunique() <= MAX_CATEGORIES else "text"


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
            numbers = pd.to_numeric(values).to_numpy(dtype=np.float32, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise UnfitForTraining(f"Column {values.name!r} is named as numeric but holds text: {error}.") from error
    return np.where(np.isfinite(numbers), numbers, np.float32("nan"))


def _as_text(values: pd.Series) -> npt.NDArray[np.object_]:
    texts = values.astype(object)
    known = texts.where(texts.notna(), MISSING_CATEGORY).map(str)
    return np.asarray(known.to_numpy(dtype=object))


def as_labels(values: pd.Series, positive: Any) -> IntArray:
    """Return 1 where a label equals `positive`, else 0.

    True, 1, 1.0, "yes" and "true" are one value, and so are their opposites. Raises UnfitForTraining for nulls.
    """
    nulls = int(values.isna().sum())
    if nulls:
        raise UnfitForTraining(f"{nulls} rows have no label in column {values.name!r}.")
    meaning: Mapping[Any, bool] = {value: _same(value, positive) for value in values.unique()}
    return np.asarray(values.map(meaning).to_numpy(dtype=np.int8))


def _same(value: Any, positive: Any) -> bool:
    return _canonical(value) == _canonical(positive)


def _canonical(value: Any) -> str:
    word = str(value).strip().lower()
    if word in TRUE_WORDS:
        return "1"
    return "0" if word in FALSE_WORDS else word
