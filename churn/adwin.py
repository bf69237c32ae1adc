"""ADWIN: an adaptive window over a stream of numbers that forgets what is no longer like the present.

Bifet and Gavalda, Learning from Time-Changing Data with Adaptive Windowing (2007), in its second form: an
exponential histogram of O(log n) buckets, with the variance in the bound. Finds the same changes as river's ADWIN.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

BUCKETS_OF_A_SIZE = 5
SHORTEST_PART = 5
GRACE = 10


@dataclass
class _Row:
    """Buckets of one size, oldest first: the sum of each, and its variance times its size."""

    totals: list[float] = field(default_factory=list)
    variances: list[float] = field(default_factory=list)

    def drop(self, count: int) -> None:
        del self.totals[:count], self.variances[:count]


class Adwin:
    """`add` returns True where the stream has changed; `mean` and `width` are of what is like the present.

    `delta` bounds how often a stream that does not change is said to have; every `clock` numbers it looks.
    """

    def __init__(self, delta: float = 0.002, clock: int = 32) -> None:
        self._delta, self._clock, self._ticks = delta, clock, 0
        self._rows = [_Row()]
        self.width, self._total, self._variance = 0, 0.0, 0.0

    @property
    def mean(self) -> float:
        return self._total / self.width if self.width else 0.0

    def add(self, value: float) -> bool:
        """Take the next number."""
        self._rows[0].totals.append(value)
        self._rows[0].variances.append(0.0)
        self.width += 1
        if self.width > 1:
            before = self._total / (self.width - 1)
            self._variance += (self.width - 1) * (value - before) ** 2 / self.width
        self._total += value
        self._merge()
        self._ticks += 1
        if self._ticks % self._clock or self.width <= GRACE:
            return False
        changed = False
        while self._cut():
            changed = True
        return changed

    def _merge(self) -> None:
        """Two buckets of one size become one of the next where there are too many."""
        for level, row in enumerate(self._rows):
            if len(row.totals) <= BUCKETS_OF_A_SIZE:
                return
            if level + 1 == len(self._rows):
                self._rows.append(_Row())
            size = 2**level
            first, second = row.totals[:2]
            between = size * size * (first / size - second / size) ** 2 / (2 * size)
            self._rows[level + 1].totals.append(first + second)
            self._rows[level + 1].variances.append(row.variances[0] + row.variances[1] + between)
            row.drop(2)

    def _cut(self) -> bool:
        """Forget the oldest bucket where the window splits somewhere into two parts that differ; True if it does."""
        old_rows, old_total = 0, 0.0
        new_rows, new_total = self.width, self._total
        for level in range(len(self._rows) - 1, -1, -1):
            size = 2**level
            for index, total in enumerate(self._rows[level].totals):
                old_rows, old_total = old_rows + size, old_total + total
                new_rows, new_total = new_rows - size, new_total - total
                if level == 0 and index == len(self._rows[0].totals) - 1:
                    return False
                if min(old_rows, new_rows) >= SHORTEST_PART and self._differ(old_rows, old_total, new_rows, new_total):
                    self._forget()
                    return True
        return False

    def _differ(self, old_rows: int, old_total: float, new_rows: int, new_total: float) -> bool:
        bound = math.log(2 * math.log(self.width) / self._delta)
        parts = 1 / (old_rows - SHORTEST_PART + 1) + 1 / (new_rows - SHORTEST_PART + 1)
        epsilon = math.sqrt(2 * parts * self._variance / self.width * bound) + 2 / 3 * bound * parts
        return abs(old_total / old_rows - new_total / new_rows) > epsilon

    def _forget(self) -> None:
        """Drop the oldest bucket."""
        row, size = self._rows[-1], 2 ** (len(self._rows) - 1)
        total, variance = row.totals[0], row.variances[0]
        row.drop(1)
        self.width -= size
        self._total -= total
        mean = self._total / self.width
        self._variance -= variance + size * self.width * (total / size - mean) ** 2 / (size + self.width)
        while len(self._rows) > 1 and not self._rows[-1].totals:
            self._rows.pop()


def changes(values: Iterable[float], *, delta: float = 0.002) -> list[int]:
    """Where a stream changed: the positions, from 0, at which it was noticed; after each a new window begins."""
    window, noticed = Adwin(delta), []
    for position, value in enumerate(values):
        if window.add(value):
            noticed.append(position)
            window = Adwin(delta)
    return noticed
