"""Reads what the model servers logged: parquet objects whose names begin with the time of their upload.

Names are positions: what sorts after the last name that a reader has seen is new to it. An upload that took long
shows up behind names that were there before it; who must miss nothing looks again at the last half minute.
"""

import io
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from common.errors import InvalidData
from common.minio_errors import NoSuchObject
from common.stored import as_parquet

if TYPE_CHECKING:
    import pyarrow as pa

    from common.minio_client import ObjectStore

READS_AT_ONCE = 8
NAME = re.compile(r"\d{8}T\d{12}Z-[^/]+\.parquet")  # 20260102T030405678901Z-<revision>.parquet
OWN_COLUMNS = (
    "event_time", "request_id", "revision", "digest", "golden", "status", "latency_ms", "prediction",
)  # fmt: skip


class PredictionLog:
    """The log of one service, below a prefix of the bucket."""

    def __init__(self, store: "ObjectStore", prefix_key: str) -> None:
        self._store, self._prefix = store, prefix_key.strip("/") + "/"

    @property
    def prefix(self) -> str:
        """Where in the bucket the objects are, without a slash at the end."""
        return self._prefix.rstrip("/")

    def since(self, after: str = "") -> tuple[str, ...]:
        """Names of all objects that sort after this name, or time such as 20260102T030405; oldest first."""
        listed = self._store.list(self._prefix, after=self._prefix + after)
        names = (each.key.removeprefix(self._prefix) for each in listed)
        return tuple(sorted(name for name in names if NAME.fullmatch(name) and name > after))

    def rows(self, names: Iterable[str], columns: Iterable[str] | None = None) -> "pa.Table":
        """The rows of these objects, in order; only these columns, where they are named.

        The log's own columns (OWN_COLUMNS) are always typed alike, also where there is no row; a feature that an object
        lacks is null there. An object that vanished, as old ones may, has no rows. Raises InvalidData for what is
        no parquet, or where two objects have a column in types that do not fit.
        """
        import pyarrow as pa

        wanted = None if columns is None else list(columns)
        with ThreadPoolExecutor(READS_AT_ONCE) as pool:
            tables = list(pool.map(lambda name: self._read(name, wanted), names))
        own = _own_columns()
        tables.insert(0, own if wanted is None else own.select([name for name in wanted if name in OWN_COLUMNS]))
        try:
            return pa.concat_tables([each for each in tables if each is not None], promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise InvalidData(f"The prediction log below {self._prefix} changes its types: {error}.") from error

    def _read(self, name: str, wanted: list[str] | None) -> "pa.Table | None":
        import pyarrow.parquet as pq

        key = self._prefix + name
        try:
            content = self._store.get_bytes(key)
        except NoSuchObject:
            return None
        with as_parquet(self._store.uri(key)):
            file = pq.ParquetFile(io.BytesIO(content))
            there = None if wanted is None else [each for each in wanted if each in file.schema_arrow.names]
            return file.read(columns=there, use_threads=False)


def _own_columns() -> "pa.Table":
    import pyarrow as pa

    types = (pa.timestamp("us", "UTC"), pa.string(), pa.string(), pa.string(), pa.bool_(), pa.int16(), pa.float32(),
             pa.float32())  # fmt: skip
    return pa.schema(list(zip(OWN_COLUMNS, types, strict=True))).empty_table()
