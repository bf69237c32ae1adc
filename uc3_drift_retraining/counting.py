"""Counts a stream of rows into histograms in one pass, in bounded memory, and keeps a sample on the way.

Arrow batches that fit the processor's cache are counted by numpy (docs/adr/0014); nothing but the batch, the counts and
the sample is ever held. Rows are kept by a random number of their own: those below a limit, which halves whenever too
many are.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from churn.histograms import Bins, Histogram, bins_for_numbers, bins_for_texts

if TYPE_CHECKING:
    import pyarrow as pa

SEED = 0
BIN_SAMPLE = 100_000
EXAMPLES = 3


@dataclass(frozen=True)
class Columns:
    """Which columns are compared, as numbers and as texts."""

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return self.numeric + self.categorical


@dataclass(frozen=True)
class Stream:
    """Rows that can be read again and again: `batches()` yields them in order, in any columns.

    `identity` says which rows these are; `columns` which of the wanted ones there are.
    """

    name: str
    identity: str
    schema: "pa.Schema"
    batches: Callable[[], "Iterator[pa.RecordBatch]"]

    @property
    def columns(self) -> frozenset[str]:
        return frozenset(self.schema.names)


class Sampler:
    """A uniform sample of at most `size` rows of a stream of unknown length; the same stream gives the same rows."""

    def __init__(self, size: int, seed: int = SEED) -> None:
        self._size, self._random, self._limit = size, np.random.default_rng(seed), 1.0
        self._kept: list[pa.RecordBatch] = []
        self._draws: list[Any] = []
        self._held = 0
        self.rows = 0

    def add(self, batch: "pa.RecordBatch", schema: "pa.Schema") -> None:
        """Look at a batch; what is kept of it is kept as numbers and texts."""
        import pyarrow as pa

        draws = self._random.random(batch.num_rows)
        chosen = draws < self._limit
        self.rows += batch.num_rows
        if chosen.any():
            self._kept.append(_plain(batch.select(schema.names).filter(pa.array(chosen)), schema))
            self._draws.append(draws[chosen])
            self._held += int(chosen.sum())
        while self._held > 2 * self._size:
            self._halve()

    def table(self, schema: "pa.Schema") -> "pa.Table":
        """The sampled rows, in the order of the stream."""
        import pyarrow as pa

        table = pa.Table.from_batches(self._kept, schema=schema)
        if table.num_rows <= self._size:
            return table
        draws = np.concatenate(self._draws)
        return table.filter(pa.array(draws <= np.partition(draws, self._size - 1)[self._size - 1]))

    def _halve(self) -> None:
        import pyarrow as pa

        self._limit /= 2
        kept = [draws < self._limit for draws in self._draws]
        self._kept = [batch.filter(pa.array(chosen)) for batch, chosen in zip(self._kept, kept, strict=True)]
        self._draws = [draws[chosen] for draws, chosen in zip(self._draws, kept, strict=True)]
        self._held = sum(len(draws) for draws in self._draws)


def bins_of(stream: Stream, columns: Columns) -> dict[str, Bins | None]:
    """Where to cut each column, from a sample of the stream; None for a column that it does not have."""
    sampled = sample_of(stream, columns, BIN_SAMPLE)
    numbers = {name: bins_for_numbers(_numbers(sampled, name)) for name in columns.numeric if name in stream.columns}
    texts = {name: bins_for_texts(_texts(sampled, name)) for name in columns.categorical if name in stream.columns}
    return {name: {**numbers, **texts}.get(name) for name in columns.names}


def sample_of(stream: Stream, columns: Columns, size: int) -> "pa.Table":
    """A sample of the stream as numbers and texts."""
    sampler, schema = Sampler(size), schema_of(stream, columns)
    for batch in stream.batches():
        sampler.add(batch, schema)
    return sampler.table(schema)


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
        for counted in _as_texts(column).value_counts().to_pylist():
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


def schema_of(stream: Stream, columns: Columns) -> "pa.Schema":
    """The wanted columns that the stream has, as they are compared."""
    import pyarrow as pa

    kinds = [(n, pa.float64()) for n in columns.numeric] + [(n, pa.string()) for n in columns.categorical]
    return pa.schema([(name, kind) for name, kind in kinds if name in stream.columns])


def _plain(batch: "pa.RecordBatch", schema: "pa.Schema") -> "pa.RecordBatch":
    """The batch as numbers and texts; what is no number (NaN, infinite) and an empty text are null, as in training."""
    import pyarrow as pa

    arrays = [_as(batch.column(field.name), field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _as(column: Any, kind: "pa.DataType") -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(kind):
        texts = _as_texts(column)
        return pc.if_else(pc.equal(texts, ""), pa.scalar(None, kind), texts)
    numbers = column.cast(pa.int8() if pa.types.is_boolean(column.type) else column.type).cast(kind, safe=False)
    return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, kind))


def _as_texts(column: Any) -> Any:
    import pyarrow as pa

    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def _numbers(table: "pa.Table", name: str) -> Any:
    return table.column(name).to_numpy(zero_copy_only=False)


def _texts(table: "pa.Table", name: str) -> list[str]:
    return [value for value in table.column(name).to_pylist() if value is not None]
