"""Where rows come from: the prediction log, a table, or a parquet object; each as a stream that may be read again."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from common.names import DIGEST
from common.prediction_log import PredictionLog
from common.serving_manifests import service_name
from common.stored import as_parquet, refuse_exchanged
from uc3_drift_retraining.streams import Stream

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from common.tools import Tools

BATCH_ROWS = 1 << 16
OBJECTS_AT_ONCE = 64
ANSWERED = 200
FILTERED_BY = ("golden", "status")


def prediction_log(tools: "Tools") -> PredictionLog:
    """What the served model, and a canary beside it, were asked."""
    uc1 = tools.settings.uc1
    prefix = tools.settings.kserve.prediction_log_prefix
    return PredictionLog(tools.minio, f"{prefix}/{uc1.namespace}/{service_name(uc1.model_name)}")


def logged(log: PredictionLog, names: tuple[str, ...]) -> Stream:
    """The requests in these objects that were answered: golden ones and refusals are not of this world.

    All revisions count: a canary is asked about the same people as the champion, only fewer of them.
    """

    def batches() -> "Iterator[pa.RecordBatch]":
        for chunk in chunks(names):
            yield from _with_columns(answered(log.rows(chunk)), schema).to_batches(max_chunksize=BATCH_ROWS)

    ends = log.rows((names[0], names[-1])) if names else log.rows(())
    schema = _under_their_own_names(ends).schema
    return Stream(f"{len(names)} objects of the log", f"log:{names[0]}:{names[-1]}", schema, batches)


def chunks(names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """A few objects at a time: the log of a busy day is larger than memory."""
    for start in range(0, len(names), OBJECTS_AT_ONCE):
        yield names[start : start + OBJECTS_AT_ONCE]


def answered_rows(log: PredictionLog, names: tuple[str, ...], enough: int) -> int:
    """How many requests were answered; stops to count at `enough`."""
    found = 0
    for chunk in chunks(names):
        found += answered(log.rows(chunk, FILTERED_BY)).num_rows
        if found >= enough:
            break
    return found


def answered(table: "pa.Table") -> "pa.Table":
    """Without golden predictions and refusals, features under their own names."""
    import pyarrow.compute as pc

    usual = pc.and_(pc.invert(table.column("golden")), pc.equal(table.column("status"), ANSWERED))
    return _under_their_own_names(table.filter(usual))


def _with_columns(table: "pa.Table", schema: "pa.Schema") -> "pa.Table":
    """The same columns everywhere: a model before may have taken fewer, and they are null there."""
    import pyarrow as pa

    present = set(table.schema.names)
    arrays = [table.column(f.name) if f.name in present else pa.nulls(table.num_rows, f.type) for f in schema]
    return pa.table(arrays, names=schema.names)


def _under_their_own_names(table: "pa.Table") -> "pa.Table":
    """A feature that is called like a column of the log is stored as feature.<name>, and that column makes room."""
    renamed = {name for name in table.schema.names if name.startswith("feature.")}
    shadowed = [name.removeprefix("feature.") for name in renamed]
    kept = table.drop_columns([name for name in shadowed if name in table.schema.names])
    return kept.rename_columns(
        [name.removeprefix("feature.") if name in renamed else name for name in kept.schema.names]
    )


def parquet(tools: "Tools", uri: str) -> Stream:
    """A parquet object of our bucket. Raises InvalidData for what is none, NoSuchObject where there is nothing.

    What is named by its digest is fetched and verified first; what is not is read where it lies.
    """
    import pyarrow.parquet as pq

    from common import snapshot

    key = tools.minio.key(uri)
    found = refuse_exchanged(tools.minio, key)
    path = snapshot.fetch(tools.minio, uri, found.sha256) if DIGEST.fullmatch(PurePosixPath(key).stem) else None

    @contextmanager
    def opened() -> "Iterator[pq.ParquetFile]":
        with nullcontext(path) if path else tools.minio.opened(key) as source, as_parquet(uri):
            yield pq.ParquetFile(source, page_checksum_verification=True)

    def batches() -> "Iterator[pa.RecordBatch]":
        with opened() as file, as_parquet(uri):
            # a row group at a time: read at once, all of them stay in memory until the last batch
            for group in range(file.num_row_groups):
                yield from file.iter_batches(BATCH_ROWS, row_groups=[group])

    with opened() as file:
        schema = file.schema_arrow
    return Stream(uri, f"{uri}:{found.etag}", schema, batches)


def table(tools: "Tools", name: str) -> Stream:
    """A table of PostgreSQL, by way of a snapshot: named by its content, and there to be looked at again."""
    from common import snapshot
    from common.extract import Wanted
    from common.postgres import Source

    wanted = Wanted(Source(table=name), dropped=tools.settings.uc1.dropped)
    taken = snapshot.take(tools.postgres, tools.minio, wanted, f"drift/tables/{name}.parquet")
    return parquet(tools, taken.uri)


def named(tools: "Tools", name: str) -> Stream:
    """A table, or a parquet object by its s3:// URI."""
    return parquet(tools, name) if "://" in name else table(tools, name)
