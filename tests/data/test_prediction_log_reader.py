"""What a model server logged is read back: each object once, only what is asked for, whatever happens meanwhile."""

import io
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common.errors import InvalidData
from common.minio_client import ObjectStore
from common.prediction_log import OWN_COLUMNS, PredictionLog
from serving.artefact import Schema
from serving.prediction_log import Record, object_name, table

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SCHEMA = Schema(("tenure", "status"), ("plan",))
LOG = "predictions/models/churn"


def record(request: str, rows: int = 1, **other: object) -> Record:
    columns = {
        "tenure": np.full((rows, 1), 1.5, np.float32), "status": np.full((rows, 1), 2.0, np.float32),
        "plan": np.full((rows, 1), "pro", object),
    }  # fmt: skip
    scores = np.linspace(0.1, 0.9, rows, dtype=np.float32)
    return Record(request, time_ns=1_000, status=200, latency_ms=1.0, columns=columns, predictions=scores, **other)


def write(store: ObjectStore, seconds: float, *records: Record, revision: str = "v2", schema: Schema = SCHEMA) -> str:
    """As the model server does, that many seconds after START; returns the object's name."""
    name, buffer = object_name(START + timedelta(seconds=seconds), revision), io.BytesIO()
    pq.write_table(table(list(records), schema, revision, "d1"), buffer, compression="zstd")
    store.put_bytes(f"{LOG}/{name}", buffer.getvalue())
    return name


@pytest.fixture
def log(store: ObjectStore) -> PredictionLog:
    return PredictionLog(store, LOG)


def test_rows_come_back_as_they_were_logged_in_order_of_the_objects(store: ObjectStore, log: PredictionLog) -> None:
    late = write(store, 3, record("c", golden=True), revision="v1")
    early = write(store, 0, record("a", 2), Record("b", time_ns=2_000, status=400))
    rows = log.rows(log.since()).to_pylist()
    assert log.since() == (early, late)
    assert [(row["request_id"], row["revision"], row["golden"], row["status"]) for row in rows] == [
        ("a", "v2", False, 200), ("a", "v2", False, 200), ("b", "v2", False, 400), ("c", "v1", True, 200)
    ]  # fmt: skip
    assert [row["prediction"] for row in rows[:3]] == [pytest.approx(0.1), pytest.approx(0.9), None]
    assert (rows[0]["tenure"], rows[0]["plan"], rows[2]["plan"]) == (1.5, "pro", None)
    assert rows[0]["feature.status"] == 2.0, "a feature that is called like a column of the log"
    assert rows[0]["event_time"] == datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)


def test_a_name_is_a_position_and_a_time_is_one_too(store: ObjectStore, log: PredictionLog) -> None:
    names = tuple(write(store, seconds, record("a")) for seconds in (0, 1, 2))
    assert log.since(names[0]) == names[1:]
    assert log.since(names[2]) == ()
    assert log.since("20260102T030406") == names[1:]
    assert log.since("2027") == ()


def test_two_revisions_of_one_instant_are_two_objects(store: ObjectStore, log: PredictionLog) -> None:
    names = (write(store, 0, record("a"), revision="v1"), write(store, 0, record("b"), revision="v2"))
    assert log.since() == names
    assert log.since(names[0]) == names[1:]


def test_objects_of_others_are_not_listed(store: ObjectStore, log: PredictionLog) -> None:
    ours = write(store, 0, record("a"))
    for key in (f"{LOG}-two/{ours}", f"{LOG}/deeper/{ours}", f"{LOG}/_SUCCESS", f"{LOG}/readme.parquet"):
        store.put_bytes(key, b"")
    assert log.since() == (ours,)


def test_only_the_columns_that_are_asked_for_are_read(
    store: ObjectStore, log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, original = [], pq.ParquetFile.read

    def spy(file: pq.ParquetFile, columns: list[str] | None = None, **options: object) -> pa.Table:
        read.append(columns)
        return original(file, columns=columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "read", spy)
    name = write(store, 0, record("a", 3))
    found = log.rows([name], ["prediction", "plan", "never"])
    assert found.column_names == ["prediction", "plan"]
    assert read == [["prediction", "plan"]]


def test_an_object_that_vanished_has_no_rows_and_the_others_are_read(store: ObjectStore, log: PredictionLog) -> None:
    gone, there = write(store, 0, record("a")), write(store, 1, record("b"))
    names = log.since()
    store.delete(f"{LOG}/{gone}")
    assert log.rows(names)["request_id"].to_pylist() == ["b"]
    assert log.rows([there, gone])["request_id"].to_pylist() == ["b"]


def test_without_rows_the_logs_own_columns_are_there_in_the_types_that_rows_have(
    store: ObjectStore, log: PredictionLog
) -> None:
    name = write(store, 0, record("a"))
    nothing, something = log.rows([]), log.rows([name])
    assert (nothing.num_rows, tuple(nothing.column_names)) == (0, OWN_COLUMNS)
    assert all(nothing.schema.field(each).type == something.schema.field(each).type for each in OWN_COLUMNS)
    assert log.rows([], ["prediction", "plan"]).column_names == ["prediction"]
    store.delete(f"{LOG}/{name}")
    assert log.rows([name]).num_rows == 0


def test_a_feature_that_only_a_later_version_has_is_null_before_it(store: ObjectStore, log: PredictionLog) -> None:
    shorter = Schema(("tenure",), ("plan",))
    names = (write(store, 0, record("a"), schema=shorter), write(store, 1, record("b")))
    assert log.rows(names)["feature.status"].to_pylist() == [None, 2.0]


def test_a_column_whose_type_does_not_fit_is_named(store: ObjectStore, log: PredictionLog) -> None:
    other = Schema((), ("tenure",))
    text = record("a")
    text.columns["tenure"] = np.full((1, 1), "long", object)
    names = (write(store, 0, record("b")), write(store, 1, text, schema=other))
    with pytest.raises(InvalidData, match=r"changes its types: .*tenure"):
        log.rows(names)


def test_an_object_that_is_no_parquet_is_named(store: ObjectStore, log: PredictionLog) -> None:
    name = object_name(START, "v2")
    store.put_bytes(f"{LOG}/{name}", b"PAR1, they said")
    with pytest.raises(InvalidData, match=f"{name} is no parquet file"):
        log.rows([name])


def test_many_objects_are_listed_from_where_the_reader_is(store: ObjectStore, log: PredictionLog) -> None:
    """Not from the first one: a log of a year has millions."""
    names = [write(store, seconds, record(str(seconds))) for seconds in range(12)]
    listed = [each.key for each in store.list(f"{LOG}/", after=f"{LOG}/{names[9]}")]
    assert listed == [f"{LOG}/{name}" for name in names[10:]]
    assert log.rows(names)["request_id"].to_pylist() == [str(seconds) for seconds in range(12)]
