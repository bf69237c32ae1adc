"""The content digest of a table: the same for the same rows, however they are ordered, batched or encoded.

Streams over Arrow record batches with numpy, in the memory of one batch: about 10 million values a second for
text, 200 million for numbers. Two tables with equal digests have the same columns (name and type), the same
number of rows and, but for a chance of 1 in 2**64, the same rows. Order of rows and columns does not count.
Not a defence against somebody who builds a collision on purpose: files are checked by their SHA-256 for that.
"""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Hashes = NDArray[np.uint64]

# Bump when the recipe changes: a digest of another recipe must never look like one of this.
RECIPE = 1
NULL = np.uint64(0x9E3779B97F4A7C15)
SECOND = np.uint64(0xD1B54A32D192ED03)
ROWS_AT_ONCE = 1 << 15  # eight columns of hashes stay in the processor's cache


class TableDigest:
    """Feed it every batch of a table, in any order, then ask for `hexdigest()`."""

    def __init__(self, schema: "pa.Schema") -> None:
        self._columns = sorted(
            (name, canonical_type(kind)) for name, kind in zip(schema.names, schema.types, strict=True)
        )
        self._salts = {name: _salt(name) for name in schema.names}
        self._sum = self._second_sum = 0
        self.rows = 0

    def update(self, batch: "pa.RecordBatch") -> None:
        """Add the rows of one batch."""
        for start in range(0, batch.num_rows, ROWS_AT_ONCE):
            self._add(batch.slice(start, ROWS_AT_ONCE))

    def hexdigest(self) -> str:
        """SHA-256, in hexadecimal, over the schema, the number of rows and the two sums of row hashes."""
        said = [RECIPE, self._columns, self.rows, self._sum, self._second_sum]
        return hashlib.sha256(json.dumps(said, ensure_ascii=True).encode()).hexdigest()

    def _add(self, batch: "pa.RecordBatch") -> None:
        rows = np.zeros(batch.num_rows, np.uint64)
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            hashes = _hash_column(column)
            hashes ^= self._salts[name]
            rows += _mixed(hashes)
        rows = _mixed(rows)
        self._sum = (self._sum + int(rows.sum(dtype=np.uint64))) % 2**64
        rows ^= SECOND
        self._second_sum = (self._second_sum + int(_mixed(rows).sum(dtype=np.uint64))) % 2**64
        self.rows += batch.num_rows


def digest_of_parquet(path: Path) -> str:
    """Content digest of a parquet file, read batch by batch."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        digest = TableDigest(file.schema_arrow)
        for batch in file.iter_batches():
            digest.update(batch)
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_type(kind: "pa.DataType") -> str:
    """The name of a type without how its values happen to be encoded."""
    import pyarrow.types as t

    if t.is_dictionary(kind):
        return canonical_type(kind.value_type)
    if t.is_large_string(kind) or t.is_string_view(kind):
        return "string"
    if t.is_large_binary(kind) or t.is_binary_view(kind):
        return "binary"
    return str(kind)


def _salt(name: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))


def _mixed(x: Hashes) -> Hashes:
    """The splitmix64 finalizer, in place: each input bit flips each output bit half of the time."""
    shifted = x >> np.uint64(30)
    x ^= shifted
    x *= np.uint64(0xBF58476D1CE4E5B9)
    np.right_shift(x, np.uint64(27), out=shifted)
    x ^= shifted
    x *= np.uint64(0x94D049BB133111EB)
    np.right_shift(x, np.uint64(31), out=shifted)
    x ^= shifted
    return x


def _hash_column(column: Any) -> Hashes:
    """One number for each value, a fresh array; all nulls get the same one."""
    import pyarrow.types as t

    if isinstance(column.type, _extension()):
        return _hash_column(column.storage)
    if t.is_null(column.type):
        return np.full(len(column), NULL)
    if t.is_dictionary(column.type):
        hashes = _taken(_hash_column(column.dictionary), column.indices)
    else:
        hashes = _hash_values(column)
    if column.null_count:
        hashes[column.is_null().to_numpy(zero_copy_only=False)] = NULL
    return hashes


def _hash_values(column: Any) -> Hashes:
    import pyarrow as pa
    import pyarrow.types as t

    kind = column.type
    if t.is_floating(kind):
        return _hash_floats(column)
    if t.is_boolean(kind):
        column = column.cast(pa.uint8())
    if t.is_integer(column.type) or t.is_boolean(kind):
        return _hash_integers(column)
    if t.is_temporal(kind) and kind.bit_width in {32, 64}:
        return _hash_integers(column.view(pa.int64() if kind.bit_width == 64 else pa.int32()))
    if t.is_decimal(kind):
        return _hash_texts(column.cast(pa.string()))
    if "string" in canonical_type(kind) or canonical_type(kind) == "binary":
        return _hash_texts(column)
    return _hash_texts(pa.array([repr(value) for value in column.to_pylist()], pa.string()))


def _hash_integers(column: Any) -> Hashes:
    values = column.fill_null(0) if column.null_count else column
    return _mixed(values.to_numpy(zero_copy_only=False).astype(np.int64, copy=False).view(np.uint64).copy())


def _hash_floats(column: Any) -> Hashes:
    values = column.to_numpy(zero_copy_only=False).astype(np.float64) + 0.0  # makes -0.0 and 0.0 one value
    values[np.isnan(values)] = np.nan  # whatever its payload
    return _mixed(values.view(np.uint64))


def _hash_texts(column: Any) -> Hashes:
    """Each different text is hashed once a batch (SipHash, from pandas)."""
    import pandas as pd

    encoded = column.dictionary_encode()
    words = encoded.dictionary.to_numpy(zero_copy_only=False)
    return _taken(pd.util.hash_array(words, categorize=False), encoded.indices)


def _taken(hashes: Hashes, indices: Any) -> Hashes:
    if not len(hashes):
        return np.full(len(indices), NULL)
    if indices.null_count:
        indices = indices.fill_null(0)
    taken: Hashes = hashes[indices.to_numpy(zero_copy_only=False)]
    return taken


def _extension() -> Any:
    import pyarrow as pa

    return pa.BaseExtensionType
