"""Streams of rows that may be read again and again, as numbers and texts, and samples of them.

Rows are kept by a random number of their own: those below a limit, which halves whenever too many are.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

SEED = 0


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


def sample_of(stream: Stream, columns: Columns, size: int) -> "pa.Table":
    """A sample of the stream as numbers and texts."""
    sampler, schema = Sampler(size), schema_of(stream, columns)
    for batch in stream.batches():
        sampler.add(batch, schema)
    return sampler.table(schema)


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
        texts = as_texts(column)
        return pc.if_else(pc.equal(texts, ""), pa.scalar(None, kind), texts)
    numbers = column.cast(pa.int8() if pa.types.is_boolean(column.type) else column.type).cast(kind, safe=False)
    return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, kind))


def as_texts(column: Any) -> Any:
    """A column as texts."""
    import pyarrow as pa

    return column if pa.types.is_string(column.type) else column.cast(pa.string())
