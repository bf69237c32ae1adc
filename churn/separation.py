"""How well one column alone tells the classes apart: what gives away a label that leaked into the features.

The measure is the area under the ROC curve of the column by itself, in whichever direction, with "not known" counted
as a value of its own; categories are put in the order of their share of positives. 1.0 is perfect, 0.5 is chance.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from churn.customers import IntArray

ROWS_A_VALUE = 5  # below that, categories separate rows by naming them


def separation(values: pd.Series, labels: IntArray) -> float:
    """Area under the ROC curve of one column: float32 with NaN, or text. 0.5 where it cannot be told."""
    positives = int(labels.sum())
    if positives in (0, len(labels)):
        return 0.5
    if not pd.api.types.is_numeric_dtype(values.dtype):
        return _of_categories(values, labels)
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    unknown = np.isnan(numbers)
    ends = [np.where(unknown, end, numbers) for end in (-np.inf, np.inf)] if unknown.any() else [numbers]
    return max(area(each, labels) for each in (*ends, unknown.astype(float)))


def _of_categories(values: pd.Series, labels: IntArray) -> float:
    codes, found = pd.factorize(values)
    if len(found) * ROWS_A_VALUE > len(values):
        return 0.5
    counts = np.bincount(codes, minlength=len(found))
    shares = np.bincount(codes, weights=labels, minlength=len(found)) / counts
    return area(shares[codes], labels)


def area(scores: npt.NDArray[np.float64], labels: IntArray) -> float:
    """Mann and Whitney's statistic as an area, larger of both directions."""
    ranks = pd.Series(scores).rank(method="average").to_numpy()
    positives = int(labels.sum())
    negatives = len(labels) - positives
    won = ranks[labels == 1].sum() - positives * (positives + 1) / 2
    found = float(won / (positives * negatives))
    return max(found, 1 - found)
