"""Writes down what was predicted, off the hot path: a queue, a thread, one parquet object every few seconds.

A request only puts its record into a queue. When the queue is full, because the store is down, records are dropped
and counted: predictions never wait for their log. Rows of one object are in order of time, and object names sort by
the time at which they were written.

Columns: event_time (us, UTC), request_id, revision, digest, golden, status, latency_ms, one column per feature,
prediction. A request that was refused leaves one row without features. A feature that bears the name of one of
the log's own columns is stored as `feature.<name>`.
"""

import io
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from common.logger import get_logger
from serving.artefact import Schema

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

QUEUED_REQUESTS = 10_000
QUEUED_ROWS = 100_000  # some 20 MB: a request may have thousands of rows, and memory ends before requests do
ROWS_PER_OBJECT = 20_000
SECONDS_PER_OBJECT = 3.0
STOP_SECONDS = 5.0
OWN_COLUMNS = (
    "event_time",
    "request_id",
    "revision",
    "digest",
    "golden",
    "status",
    "latency_ms",
    "prediction",
)

Upload = Callable[[str, bytes], None]
log = get_logger(__name__)


@dataclass
class Record:
    """One request; the model fills in columns and predictions, the server the rest."""

    request_id: str = ""
    golden: bool = False
    time_ns: int = 0
    status: int = 0
    latency_ms: float = 0.0
    columns: "dict[str, np.ndarray]" = field(default_factory=dict)
    predictions: "np.ndarray | None" = None

    @property
    def rows(self) -> int:
        """Rows that this request makes in the log."""
        return 1 if self.predictions is None else len(self.predictions)


class PredictionLog:
    """`put` never blocks and never fails. `stop` writes what is queued, within STOP_SECONDS."""

    def __init__(
        self, schema: Schema, revision: str, digest: str, upload: Upload, dropped: Callable[[int], None]
    ) -> None:
        self._schema, self._revision, self._digest = schema, revision, digest
        self._upload, self._dropped = upload, dropped
        self._queue: queue.Queue[Record | None] = queue.Queue(QUEUED_REQUESTS)
        self._rows, self._counting = 0, threading.Lock()  # rows that are put and neither written nor dropped
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)

    def start(self) -> None:
        """Start the thread that writes."""
        self._thread.start()

    def put(self, record: Record) -> None:
        """Queue a record, or count it as dropped where too many requests or rows wait for the store."""
        rows = record.rows
        if not self._has_room(rows):
            self._dropped(rows)
            return
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self._leave(rows)
            self._dropped(rows)

    def stop(self) -> None:
        """Write what is queued and end the thread."""
        self._queue.put(None)
        self._thread.join(STOP_SECONDS)

    def _has_room(self, rows: int) -> bool:
        """Count rows in, unless there are too many."""
        with self._counting:
            room = self._rows + rows <= QUEUED_ROWS
            self._rows += rows if room else 0
        return room

    def _leave(self, rows: int) -> None:
        with self._counting:
            self._rows -= rows

    def _run(self) -> None:
        last = False
        while not last:
            records, last = self._collect()
            if records:
                self._write(records)
                self._leave(sum(record.rows for record in records))

    def _collect(self) -> tuple[list[Record], bool]:
        """Wait for a record, then gather until an object is full or old enough; True when it is the last."""
        first = self._queue.get()
        if first is None:
            return [], True
        records, rows, until = [first], first.rows, time.monotonic() + SECONDS_PER_OBJECT
        while rows < ROWS_PER_OBJECT and (wait := until - time.monotonic()) > 0:
            try:
                record = self._queue.get(timeout=wait)
            except queue.Empty:
                break
            if record is None:
                return records, True
            records.append(record)
            rows += record.rows
        return records, False

    def _write(self, records: list[Record]) -> None:
        try:
            self._upload(object_name(datetime.now(UTC), self._revision), self._parquet(records))
        except Exception as error:  # the thread must live on: the next object may succeed
            lost = sum(record.rows for record in records)
            self._dropped(lost)
            log.warning("predictions could not be logged", rows=lost, error=f"{type(error).__name__}: {error}")

    def _parquet(self, records: list[Record]) -> bytes:
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        pq.write_table(table(records, self._schema, self._revision, self._digest), buffer, compression="zstd")
        return buffer.getvalue()


def object_name(now: datetime, revision: str) -> str:
    """A name that sorts by time: 20260102T030405678901Z-<revision>.parquet."""
    return f"{now:%Y%m%dT%H%M%S%f}Z-{revision}.parquet"


def table(records: list[Record], schema: Schema, revision: str, digest: str) -> "pa.Table":
    """The records as rows, in order of time."""
    import numpy as np
    import pyarrow as pa

    records = sorted(records, key=lambda record: record.time_ns)
    counts = [record.rows for record in records]

    def each(values: list[Any], kind: "pa.DataType") -> "pa.Array":
        return pa.array(np.repeat(np.array(values, dtype=object), counts), kind)

    arrays = {
        "event_time": each([record.time_ns // 1000 for record in records], pa.int64()).cast(pa.timestamp("us", "UTC")),
        "request_id": each([record.request_id for record in records], pa.string()),
        "revision": each([revision] * len(records), pa.string()),
        "digest": each([digest] * len(records), pa.string()),
        "golden": each([record.golden for record in records], pa.bool_()),
        "status": each([record.status for record in records], pa.int16()),
        "latency_ms": each([record.latency_ms for record in records], pa.float32()),
    }
    for name in schema.columns:
        stored = f"feature.{name}" if name in OWN_COLUMNS else name
        arrays[stored] = _feature(records, name, pa.float32() if name in schema.numeric else pa.string())
    scores = [[None] if record.predictions is None else record.predictions.tolist() for record in records]
    arrays["prediction"] = pa.array([score for scored in scores for score in scored], pa.float32())
    return pa.table(arrays)


def _feature(records: list[Record], name: str, kind: "pa.DataType") -> "pa.Array":
    import pyarrow as pa

    values: list[Any] = []
    for record in records:
        values += record.columns[name].ravel().tolist() if record.predictions is not None else [None]
    return pa.array(values, kind, from_pandas=True)


def upload_to(uri: str) -> Upload:
    """Put objects below s3://bucket/prefix; address and credentials come from AWS_* in the environment.

    The SHA-256 is noted with each, so that who reads it months later knows whether it still is what was written.
    """
    import hashlib
    import os

    import boto3
    from botocore.config import Config

    bucket, _, prefix = uri.removeprefix("s3://").strip("/").partition("/")
    config = Config(connect_timeout=3, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 4},
                    s3={"addressing_style": "path"})  # fmt: skip
    client = boto3.client("s3", endpoint_url=os.environ.get("AWS_ENDPOINT_URL") or None, config=config)

    def upload(name: str, body: bytes) -> None:
        noted = {"sha256": hashlib.sha256(body).hexdigest()}
        client.put_object(Bucket=bucket, Key=f"{prefix}/{name}" if prefix else name, Body=body, Metadata=noted)

    return upload
