"""Counts a stream of rows into histograms in one pass, in bounded memory, and keeps a sample on the way.

Arrow batches that fit the processor's cache are counted by numpy (docs/adr/0014); nothing but the batch, the counts and
the sample is ever held.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from churn.histograms import Bins, Histogram, bins_for_numbers, bins_for_texts
from uc3_drift_retraining.streams import Columns, Sampler, Stream, as_texts, sample_of, schema_of

if TYPE_CHECKING:
    import pyarrow as pa

BIN_SAMPLE = 100_000
EXAMPLES = 3


def bins_of(stream: Stream, columns: Columns) -> dict[str, Bins | None]:
    """Where to cut each column, from a sample of the stream; None for a column that it does not have."""
    sampled = sample_of(stream, columns, BIN_SAMPLE)
    numbers = {name: bins_for_numbers(_numbers(sampled, name)) for name in columns.numeric if name in stream.columns}
    texts = {name: bins_for_texts(_texts(sampled, name)) for name in columns.categorical if name in stream.columns}
    return {name: {**numbers, **texts}.get(name) for name in columns.names}


def count(
    stream: Stream, bins: Mapping[str, Bins | None], columns: Columns, sampler: Sampler | None = None
) -> dict[str, Histogram | None]:
    """One pass over all rows; None for a column that is not there, or that no bins are known for."""
    schema = schema_of(stream, columns)
    counters = {name: _Counter(cut) for name in schema.names if (cut := bins.get(name))}
    for batch in stream.batches():
        for name, counter in counters.items():
            counter.add(batch.column(name))
        if sampler:
            sampler.add(batch, schema)
    histograms = {name: counter.histogram() for name, counter in counters.items()}
    return {name: histograms.get(name) for name in columns.names}


class _Counter:
    """The counts of one column, batch after batch."""

    def __init__(self, bins: Bins) -> None:
        self._bins, self._nulls = bins, 0
        self._counts = np.zeros(bins.size, dtype=np.int64)
        self._edges = np.asarray(bins.edges)
        self._places = {value: place for place, value in enumerate(bins.values)}
        self._others: set[str] = set()

    def add(self, column: Any) -> None:
        """Count a batch's part of the column."""
        if self._bins.kind == "categorical":
            return self._add_texts(column)
        numbers = numbers_of(column)
        self._nulls += len(column) - len(numbers)
        self._counts += np.bincount(self._place(numbers), minlength=self._bins.size)
        return None

    def histogram(self) -> Histogram:
        """What was counted."""
        counts = tuple(int(each) for each in self._counts)
        return Histogram(self._bins, counts, self._nulls, tuple(sorted(self._others)))

    def _place(self, numbers: Any) -> Any:
        """The bin of each number. Bins of one width need no search, which is ten times as quick."""
        if not self._bins.width:
            return np.searchsorted(self._edges, numbers, side="left")
        with np.errstate(over="ignore"):
            places = (numbers - self._edges[0]) / self._bins.width
        np.ceil(places, out=places)
        np.clip(places, 0, len(self._edges), out=places)
        return places.astype(np.intp)

    def _add_texts(self, column: Any) -> None:
        for counted in as_texts(column).value_counts().to_pylist():
            value, count = counted["values"], counted["counts"]
            if not value:  # null, or empty: nobody filled it in
                self._nulls += count
                continue
            self._counts[self._places.get(value, -1)] += count
            if value not in self._places and len(self._others) < EXAMPLES:
                self._others.add(value)


def numbers_of(column: Any) -> Any:
    """The known and finite values of a column, as float64."""
    import pyarrow as pa

    known = column.drop_null() if column.null_count else column
    kind = pa.int8() if pa.types.is_boolean(known.type) else known.type
    numbers = known.cast(kind).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    # A sum of finite numbers is mostly finite, and much quicker to have than a look at each.
    with np.errstate(all="ignore"):
        return numbers if np.isfinite(numbers.sum()) else numbers[np.isfinite(numbers)]


def _numbers(table: "pa.Table", name: str) -> Any:
    return table.column(name).to_numpy(zero_copy_only=False)


def _texts(table: "pa.Table", name: str) -> list[str]:
    return [value for value in table.column(name).to_pylist() if value is not None]
