"""Who is trained on and who is held out, and whether a table of customers can be learned from at all.

The hold-out follows from the customer's id alone: adding rows moves nobody from one side to the other, so a
model is never scored on a customer that an earlier model of the same seed was trained on.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

MIN_ROWS = 100
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int8]


class UnfitForTraining(ValueError):
    """The rows cannot be learned from; the message says why in one sentence."""


def holdout_mask(ids: Iterable[Any], *, share: float, seed: int) -> BoolArray:
    """True where a customer belongs to the hold-out: a keyed hash of the id, as a number in [0, 1), below `share`."""
    key = str(seed).encode()
    limit = int(share * 2**64)
    return np.fromiter((_position(value, key) < limit for value in ids), dtype=np.bool_)


def _position(value: Any, key: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(str(value).encode(), digest_size=8, key=key).digest(), "big")


def check_fit_for_training(labels: IntArray, holdout: BoolArray) -> None:
    """Raise UnfitForTraining where a metric would be undefined or worthless: too few rows, or one class only."""
    if len(labels) < MIN_ROWS:
        raise UnfitForTraining(f"There are {len(labels)} labelled rows; training needs at least {MIN_ROWS}.")
    for name, side in (("training rows", labels[~holdout]), ("rows of the hold-out", labels[holdout])):
        present = sorted(set(side.tolist()))
        if present != [0, 1]:
            said = f"nobody but class {present[0]}" if present else "nobody"
            raise UnfitForTraining(f"Among the {name} there is {said}; both classes are needed.")
