"""The nearest person whom a model decides otherwise about, and what a model answers as one column changes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from churn.customers import BoolArray, IntArray
from churn.features import FeatureColumns
from churn.model import onnx_probabilities

GRID = 21


def nearest_opposite(
    features: pd.DataFrame, columns: FeatureColumns, chosen: BoolArray, asked: Sequence[int]
) -> list[int | None]:
    """For each row number of `asked` the number of the nearest row with the other decision; None where all agree.

    Distance is the What-If Tool's L1: numbers count in standard deviations, another category as 1. So does a
    number that only one of the two has.
    """
    numbers = features[list(columns.numeric)].to_numpy(dtype=np.float64)
    texts = features[list(columns.categorical)].to_numpy(dtype=object)
    spread = _spread(numbers)
    found: list[int | None] = []
    for row in asked:
        others = np.flatnonzero(chosen != chosen[row])
        apart = _distance(numbers[others], texts[others], numbers[row], texts[row], spread)
        found.append(int(others[np.argmin(apart)]) if len(others) else None)
    return found


def _spread(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    known = np.ma.masked_invalid(numbers).std(axis=0).filled(0.0)
    return np.where(known > 0, known, 1.0)


def _distance(numbers: Any, texts: Any, number: Any, text: Any, spread: Any) -> Any:
    apart = np.abs(numbers - number) / spread
    one_is_missing = np.isnan(numbers) != np.isnan(number)
    apart = np.where(np.isnan(apart), one_is_missing.astype(float), apart)
    return apart.sum(axis=1) + (texts != text).sum(axis=1)


def grid_of(values: pd.Series, numeric: bool, points: int = GRID) -> list[float] | list[str]:
    """Where a column is looked at: evenly from its 1st to its 99th percentile, or each category."""
    if not numeric:
        return sorted(str(value) for value in values.unique())
    known = values[np.isfinite(values)]
    low, high = np.quantile(known, [0.01, 0.99]) if len(known) else (0.0, 1.0)
    whole = bool((known == known.round()).all())
    spaced = np.linspace(low, high, points)
    return sorted({float(np.float32(round(each) if whole else each)) for each in spaced.tolist()})


def partial_dependence(
    scorer: Any, features: pd.DataFrame, columns: FeatureColumns, grids: dict[str, list[Any]]
) -> dict[str, list[float]]:
    """The mean answer with one column set to each value of its grid, for everybody (Friedman, 2001)."""
    means: dict[str, list[float]] = {}
    for name, grid in grids.items():
        kind: Any = np.float32 if name in columns.numeric else object
        blocks = [features.assign(**{name: np.full(len(features), value, dtype=kind)}) for value in grid]
        answers = onnx_probabilities(scorer, pd.concat(blocks, ignore_index=True))
        means[name] = answers.reshape(len(grid), -1).mean(axis=1).tolist()
    return means


def nobodies(grids: dict[str, list[Any]], *, count: int, seed: int) -> list[dict[str, Any]]:
    """Rows of made-up people: each value drawn by itself from its column's grid, so that no row tells of anybody."""
    random = np.random.default_rng(seed)
    return [{name: grid[random.integers(len(grid))] for name, grid in grids.items()} for _ in range(count)]


def cases(labels: IntArray, predicted: Any, *, threshold: float, count: int, seed: int) -> list[int]:
    """Row numbers of people worth a look: a third near the threshold, a third wrongly decided, the rest by chance."""
    random = np.random.default_rng(seed)
    near = np.argsort(np.abs(predicted - threshold), kind="stable")[: count // 3]
    wrong = np.flatnonzero((predicted >= threshold) != (labels == 1))
    anybody = random.permutation(len(labels))
    picked = [*near.tolist(), *random.permutation(wrong)[: count // 3].tolist(), *anybody.tolist()]
    return list(dict.fromkeys(picked))[:count]
