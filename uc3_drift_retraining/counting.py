"""Counts a stream of rows into histograms in one pass, in bounded memory, and keeps a sample on the way.

DuckDB counts while it is handed one Arrow batch after the other; nothing but the batch, the counts and the sample is
ever held. Rows are kept by a random number of their own: the ones below a limit, which halves whenever too many are.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from churn.histograms import Bins, Histogram, bins_for_numbers, bins_for_texts

if TYPE_CHECKING:
    import pyarrow as pa

SEED = 0
BIN_SAMPLE = 100_000
EXAMPLES = 3
MEMORY = "200MB"


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

    def add(self, batch: "pa.RecordBatch") -> None:
        """Look at a batch."""
        import pyarrow as pa

        draws = self._random.random(batch.num_rows)
        chosen = draws < self._limit
        self.rows += batch.num_rows
        if chosen.any():
            self._kept.append(batch.filter(pa.array(chosen)))
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
        sampler.add(_plain(batch, schema))
    return sampler.table(schema)


def count(
    stream: Stream, bins: Mapping[str, Bins | None], columns: Columns, sampler: Sampler | None = None
) -> dict[str, Histogram | None]:
    """One pass over all rows; None for a column that is not there, or that no bins are known for."""
    schema = schema_of(stream, columns)
    known = {name: bins[name] for name in schema.names if bins.get(name)}
    expressions = [_expression(name, cut) for name, cut in known.items() if cut]
    found = _query(expressions, _plain_batches(stream, schema, sampler), schema)
    histograms = {
        name: _histogram(cut, counts, nulls)
        for (name, cut), counts, nulls in zip(known.items(), found[0::2], found[1::2], strict=True)
        if cut
    }
    if sampler:
        histograms = {name: _with_examples(name, each, sampler.table(schema)) for name, each in histograms.items()}
    return {name: histograms.get(name) for name in columns.names}


def _with_examples(name: str, histogram: Histogram, sampled: "pa.Table") -> Histogram:
    """Name some of the texts that no bin is for."""
    if histogram.bins.kind == "numeric" or not histogram.counts[-1]:
        return histogram
    others = sorted(set(_texts(sampled, name)) - set(histogram.bins.values))
    return replace(histogram, others=tuple(others[:EXAMPLES]))


def schema_of(stream: Stream, columns: Columns) -> "pa.Schema":
    """The wanted columns that the stream has, as they are compared."""
    import pyarrow as pa

    kinds = [(n, pa.float64()) for n in columns.numeric] + [(n, pa.string()) for n in columns.categorical]
    return pa.schema([(name, kind) for name, kind in kinds if name in stream.columns])


def _plain_batches(stream: Stream, schema: "pa.Schema", sampler: Sampler | None) -> "Iterator[pa.RecordBatch]":
    for batch in stream.batches():
        plain = _plain(batch, schema)
        if sampler:
            sampler.add(plain)
        yield plain


def _plain(batch: "pa.RecordBatch", schema: "pa.Schema") -> "pa.RecordBatch":
    """The batch as numbers and texts; what is no number (NaN, infinite) and an empty text are null, as in training."""
    import pyarrow as pa

    arrays = [_as(batch.column(field.name), field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _as(column: Any, kind: "pa.DataType") -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(kind):
        texts = column.cast(kind)
        return pc.if_else(pc.equal(texts, ""), pa.scalar(None, kind), texts)
    numbers = column.cast(pa.int8() if pa.types.is_boolean(column.type) else column.type).cast(kind, safe=False)
    return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, kind))


def _expression(name: str, bins: Bins) -> str:
    """The counts of a column as DuckDB makes them, and its nulls. Bins of one width are three times as quick."""
    column = '"' + name.replace('"', '""') + '"'
    if bins.kind == "categorical":
        counted = f"histogram({column})" if not bins.values else f"histogram_exact({column}, {_texts_of(bins.values)})"
    elif bins.width:
        place = f"ceil(({column} - {bins.edges[0]!r}) / {bins.width!r})"
        # Not least() and greatest(): both pass over a null, which would count as a number then.
        last = len(bins.edges)
        within = f"CASE WHEN {place} < 0 THEN 0 WHEN {place} > {last} THEN {last} ELSE {place} END"
        counted = f"histogram(({within})::SMALLINT)"
    else:
        counted = f"histogram({column}, [{', '.join(map(repr, bins.edges))}]::DOUBLE[])"
    return f"{counted}, count(*) - count({column})"


def _query(expressions: list[str], batches: "Iterator[pa.RecordBatch]", schema: "pa.Schema") -> tuple[Any, ...]:
    import duckdb
    import pyarrow as pa

    if not expressions:
        return ()
    with duckdb.connect(config={"memory_limit": MEMORY}) as connection:
        connection.register("rows", pa.RecordBatchReader.from_batches(schema, batches))
        found: tuple[Any, ...] = connection.execute(f"SELECT {', '.join(expressions)} FROM rows").fetchall()[0]  # noqa: S608
    return found


def _histogram(bins: Bins, counted: Mapping[Any, int] | None, nulls: int) -> Histogram:
    """Counts in the order of the bins, whatever DuckDB's map holds."""
    counted = counted or {}
    if bins.kind == "categorical":
        named = [counted.get(value, 0) for value in bins.values]
        others = sum(counted.values()) - sum(named)
        return Histogram(bins, (*named, others), nulls)
    keys: list[Any] = list(range(bins.size)) if bins.width else [*bins.edges, float("inf")]
    return Histogram(bins, tuple(int(counted.get(key, 0)) for key in keys), nulls)


def _texts_of(values: tuple[str, ...]) -> str:
    return "[" + ", ".join("'" + value.replace("'", "''") + "'" for value in values) + "]"


def _numbers(table: "pa.Table", name: str) -> Any:
    return table.column(name).to_numpy(zero_copy_only=False)


def _texts(table: "pa.Table", name: str) -> list[str]:
    return [value for value in table.column(name).to_pylist() if value is not None]
