"""Every prediction is written down, off the hot path, and nothing a store does can hurt predicting."""

import io
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests

from serving import prediction_log
from serving.artefact import Schema
from serving.prediction_log import PredictionLog, Record, object_name, table
from tests.serving.artefacts import TrainedArtefact
from tests.serving.conftest import Stored
from tests.serving.kube import free_port, get, until

SCHEMA = Schema(("age", "status"), ("plan",))


def record(rows: int = 1, second: int = 0) -> Record:
    columns = {
        "age": np.full((rows, 1), 41.5, np.float32), "status": np.full((rows, 1), np.nan, np.float32),
        "plan": np.full((rows, 1), "pro", object),
    }  # fmt: skip
    time_ns = 1_767_000_000_000_000_000 + second * 10**9
    return Record("r", False, time_ns, 200, 0.7, columns, np.full(rows, 0.25, np.float32))


def test_rows_carry_time_identity_features_and_prediction_with_exact_types() -> None:
    rows = table([record(2)], SCHEMA, "blue", "d1")
    assert rows.schema.field("event_time").type == pa.timestamp("us", "UTC")
    assert rows.to_pylist()[1] == {
        "event_time": datetime.fromtimestamp(1_767_000_000, UTC), "request_id": "r", "revision": "blue",
        "digest": "d1", "golden": False, "status": 200, "latency_ms": pytest.approx(0.7), "age": 41.5,
        "feature.status": None, "plan": "pro", "prediction": 0.25,
    }  # fmt: skip


def test_a_refused_request_leaves_one_row_without_features() -> None:
    refused = Record("r", False, 10**18, 400, 0.1)
    (row,) = table([refused], SCHEMA, "blue", "d1").to_pylist()
    assert (row["status"], row["age"], row["plan"], row["prediction"]) == (400, None, None, None)


def test_rows_of_an_object_are_in_order_of_time_whatever_the_order_of_answers() -> None:
    rows = table([record(1, second=5), record(1, second=2)], SCHEMA, "blue", "d1")
    times = rows["event_time"].to_pylist()
    assert times == sorted(times)


def test_object_names_sort_by_time() -> None:
    moments = [
        datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
        datetime(2026, 1, 2, 3, 4, 5, 700, UTC),
        datetime(2026, 10, 1, tzinfo=UTC),
    ]
    names = [object_name(moment, "blue") for moment in moments]
    assert names == sorted(names)
    assert names[0] == "20260102T030405000006Z-blue.parquet"


class Collected:
    """Uploads that are kept, and drops that are counted."""

    def __init__(self, failing: bool = False) -> None:
        self.tables: list[pa.Table] = []
        self.dropped = 0
        self.failing = failing

    def upload(self, name: str, body: bytes) -> None:
        if self.failing:
            raise ConnectionError("the store is down")
        self.tables.append(pq.read_table(io.BytesIO(body)))

    def drop(self, rows: int) -> None:
        self.dropped += rows

    def log(self) -> PredictionLog:
        return PredictionLog(SCHEMA, "blue", "d1", self.upload, self.drop)


def test_what_is_queued_is_written_when_the_server_stops() -> None:
    collected = Collected()
    log = collected.log()
    log.start()
    for second in range(50):
        log.put(record(3, second))
    log.stop()
    assert (sum(len(each) for each in collected.tables), collected.dropped) == (150, 0)


def test_a_full_queue_drops_and_counts_and_never_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_log, "QUEUED_REQUESTS", 5)
    collected = Collected()
    log = collected.log()  # never started: nothing is taken out of the queue
    for _ in range(8):
        log.put(record(2))
    assert collected.dropped == 6


def test_rows_are_what_fills_the_queue_and_a_written_object_makes_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_log, "QUEUED_ROWS", 1000)
    monkeypatch.setattr(prediction_log, "SECONDS_PER_OBJECT", 0.2)
    collected = Collected()
    log = collected.log()
    for second in range(5):  # not started yet: nothing is taken out of the queue
        log.put(record(400, second))
    log.put(record(200, 5))
    assert collected.dropped == 1200
    log.start()
    until(lambda: sum(len(each) for each in collected.tables) == 1000)
    until(lambda: not log._rows)
    log.put(record(1000, 6))
    log.stop()
    assert (sum(len(each) for each in collected.tables), collected.dropped) == (2000, 1200)


def test_a_store_that_is_down_costs_rows_not_the_thread() -> None:
    collected = Collected(failing=True)
    log = collected.log()
    log.start()
    log.put(record(2))
    log.stop()
    assert collected.dropped == 2


def served(model: TrainedArtefact, stored: Stored, prefix: str) -> tuple[subprocess.Popen[bytes], str]:
    """A running model server that logs below `prefix`, and its URL."""
    port, minio = free_port(), stored.minio
    environment = {
        **os.environ, "PREDICTION_LOG_URI": stored.store.uri(prefix), "AWS_ENDPOINT_URL": minio.url,
        "AWS_ACCESS_KEY_ID": minio.access_key, "AWS_SECRET_ACCESS_KEY": minio.secret_key.get_secret_value(),
        "AWS_DEFAULT_REGION": minio.region, "REVISION": "blue",
    }  # fmt: skip
    command = [sys.executable, "-m", "serving", "--model_name", "churn", "--model_dir", str(model.directory)]
    process = subprocess.Popen([*command, "--http_port", str(port)], env=environment)
    until(lambda: get(f"http://127.0.0.1:{port}/v2/models/churn/ready") == 200)
    return process, f"http://127.0.0.1:{port}"


def logged(stored: Stored, prefix: str) -> list[dict[str, Any]]:
    keys = [each.key for each in stored.store.list(prefix)]
    return [row for key in keys for row in pq.read_table(io.BytesIO(stored.store.get_bytes(key))).to_pylist()]


def test_a_served_prediction_is_in_the_store_after_sigterm_at_once(stored: Stored, trees: TrainedArtefact) -> None:
    prefix = f"serving-tests/log-{time.time_ns()}/"
    process, url = served(trees, stored, prefix.rstrip("/"))
    predict = f"{url}/v1/models/churn:predict"
    golden = {"x-golden": "true", "x-request-id": "g"}
    requests.post(predict, json={"instances": trees.rows}, headers=golden, timeout=5)
    requests.post(predict, json={"instances": trees.rows[:2]}, headers={"x-request-id": "a"}, timeout=5)
    requests.post(predict, json={"instances": []}, headers={"x-request-id": "b"}, timeout=5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    rows = logged(stored, prefix)
    found = [(row["request_id"], row["golden"], row["status"], row["revision"]) for row in rows]
    assert found == [("g", True, 200, "blue")] * 20 + [("a", False, 200, "blue")] * 2 + [("b", False, 400, "blue")]
    assert [row["prediction"] for row in rows[:20]] == pytest.approx(trees.probabilities, abs=1e-5)
    assert {name: rows[0][name] for name in ("plan", "region")} == {
        name: trees.rows[0][name] for name in ("plan", "region")
    }
    assert rows[0]["digest"] == trees.digest


@pytest.mark.deep
def test_predictions_go_on_while_the_store_is_away(stored: Stored, trees: TrainedArtefact) -> None:
    nowhere = stored.minio.model_copy(update={"endpoint": f"http://127.0.0.1:{free_port()}"})
    process, url = served(trees, Stored(nowhere, stored.store, ""), "serving-tests/nowhere")
    answers = [
        requests.post(f"{url}/v1/models/churn:predict", json={"instances": trees.rows}, timeout=5).status_code
        for _ in range(20)
    ]
    process.terminate()
    process.wait(10)
    assert answers == [200] * 20
