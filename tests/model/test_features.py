"""Columns become inputs in one place: types, missing values, labels, and what is inferred when nobody says."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from churn.customers import UnfitForTraining
from churn.features import MISSING_CATEGORY, FeatureColumns, as_features, as_labels

TABLE = pd.DataFrame(
    {
        "id": [f"c{n}" for n in range(300)],
        "spend": [Decimal("1.10"), None, Decimal("2.25")] * 100,
        "visits": range(300),
        "active": [True, False, True] * 100,
        "plan": ["a", None, "b"] * 100,
        "note": [f"free text {n}" for n in range(300)],
        "seen": pd.Timestamp("2026-01-01", tz="UTC"),
        "left": [0, 1, 0] * 100,
        "secret": range(300),
    }
)


def test_numbers_become_float32_with_nan_and_text_keeps_one_token_for_null() -> None:
    features = as_features(TABLE, FeatureColumns(("spend", "active"), ("plan",)))
    assert [str(kind) for kind in features.dtypes] == ["float32", "float32", "object"]
    assert features["spend"].isna().sum() == 100
    assert features["spend"][2] == np.float32(2.25)
    assert features["active"].tolist()[:2] == [1.0, 0.0]
    assert features["plan"].tolist()[:3] == ["a", MISSING_CATEGORY, "b"]


def test_infinite_and_too_large_numbers_count_as_not_known() -> None:
    wild = pd.DataFrame({"x": [1.0, np.inf, -np.inf, 1e308, np.nan]})
    assert as_features(wild, FeatureColumns(("x",), ()))["x"].isna().tolist() == [False, True, True, True, True]


def test_text_in_a_numeric_column_is_refused_with_the_columns_name() -> None:
    with pytest.raises(UnfitForTraining, match="'plan' is named as numeric but holds text"):
        as_features(TABLE, FeatureColumns(("plan",), ()))


@pytest.mark.parametrize(
    ("values", "positive"),
    [
        ([True, False], True), ([1, 0], True), ([1.0, 0.0], True), (["Yes", "No"], True), (["true", "FALSE"], True),
        (["Ja", "Nein"], "Ja"), ([0, 1], False), ([2, 1], 2), (["churned", "active"], "churned"), (["1", "0"], 1),
    ],
)  # fmt: skip
def test_labels_in_every_spelling_become_one_and_zero(values: list[object], positive: object) -> None:
    labels = as_labels(pd.Series(values, name="label"), positive)
    assert labels.tolist() == [1, 0]
    assert labels.dtype == np.int8


def test_a_row_without_label_is_refused_and_counted() -> None:
    with pytest.raises(UnfitForTraining, match="2 rows have no label in column 'left'"):
        as_labels(pd.Series([1, None, 0, None], name="left"), True)
