"""The model server keeps KServe's protocols, answers bad input with 400, and counts what it does."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from serving.server import listen
from tests.serving.artefacts import CATEGORICAL, NUMERIC, TrainedArtefact
from tests.serving.kube import free_port, get, until

JSON = {"content-type": "application/json"}
GOOD = dict.fromkeys(NUMERIC, 1.5) | dict.fromkeys(CATEGORICAL, "pro")
AS_LIST = [*(1.5 for _ in NUMERIC), *("pro" for _ in CATEGORICAL)]


@dataclass(frozen=True)
class Server:
    url: str

    def predict(self, body: Any, **headers: str) -> requests.Response:
        data = body if isinstance(body, str | bytes) else json.dumps(body)
        return requests.post(f"{self.url}/v1/models/churn:predict", data=data, headers=JSON | headers, timeout=10)

    def infer(self, body: Any, **headers: str) -> requests.Response:
        data = body if isinstance(body, str | bytes) else json.dumps(body)
        return requests.post(f"{self.url}/v2/models/churn/infer", data=data, headers=JSON | headers, timeout=10)

    def metric(self, name: str, code: int) -> float:
        found = re.search(
            rf'^{name}{{code="{code}".*}} (\S+)$', requests.get(f"{self.url}/metrics", timeout=10).text, re.M
        )
        return float(found[1]) if found else 0.0


def command(model: TrainedArtefact, port: int) -> list[str]:
    program = [sys.executable, "-m", "serving", "--model_name", "churn", "--model_dir", str(model.directory)]
    return [*program, "--http_port", str(port)]


@pytest.fixture(scope="module")
def server(trees: TrainedArtefact) -> Iterator[Server]:
    port = free_port()
    process = subprocess.Popen(
        command(trees, port), env={**os.environ, "REVISION": "blue", "K_REVISION": "green"}, stderr=subprocess.PIPE
    )
    try:
        until(lambda: get(f"http://127.0.0.1:{port}/v2/models/churn/ready") == 200)
        yield Server(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        _, said = process.communicate(timeout=10)
    assert said == b"", "the server is quiet, also about bad requests"


def tensors(rows: int = 2, **changed: Any) -> dict[str, Any]:
    numbers = [{"name": name, "shape": [rows], "datatype": "FP32", "data": [1.5] * rows} for name in NUMERIC]
    texts = [{"name": name, "shape": [rows, 1], "datatype": "BYTES", "data": ["pro"] * rows} for name in CATEGORICAL]
    inputs = [*numbers, *texts]
    inputs[0] |= changed
    return {"id": "q1", "inputs": inputs}


def test_golden_predictions_over_v1_are_the_estimators_own(server: Server, trees: TrainedArtefact) -> None:
    answer = server.predict({"instances": trees.rows}).json()["predictions"]
    assert answer == pytest.approx(trees.probabilities, abs=1e-5)


def test_lists_objects_and_v2_tensors_of_the_same_values_score_the_same(server: Server) -> None:
    objects = server.predict({"instances": [GOOD, GOOD]}).json()["predictions"]
    lists = server.predict({"instances": [AS_LIST, AS_LIST]}).json()["predictions"]
    answer = server.infer(tensors()).json()
    assert objects == lists == answer["outputs"][0]["data"]
    assert answer["id"] == "q1"
    assert answer["outputs"][0] | {"data": [], "parameters": None} == {
        "name": "probability", "shape": [2], "datatype": "FP32", "data": [], "parameters": None}  # fmt: skip


def test_a_binary_tensor_scores_like_its_numbers(server: Server) -> None:
    import numpy as np

    body = tensors(1, data=None, parameters={"binary_data_size": 4})
    head = json.dumps(body).encode()
    length = {"inference-header-content-length": str(len(head)), "content-type": "application/octet-stream"}
    binary = server.infer(head + np.float32(1.5).tobytes(), **length)
    assert binary.json()["outputs"][0]["data"] == server.infer(tensors(1)).json()["outputs"][0]["data"]


def test_many_rows_are_scored_off_the_event_loop_with_the_same_answer(server: Server) -> None:
    answer = server.predict({"instances": [AS_LIST] * 1000}).json()["predictions"]
    assert answer == server.predict({"instances": [AS_LIST]}).json()["predictions"] * 1000


@pytest.mark.parametrize("missing", [*NUMERIC, *CATEGORICAL])
def test_null_is_a_missing_value(server: Server, missing: str) -> None:
    assert server.predict({"instances": [{**GOOD, missing: None}]}).status_code == 200


BAD_V1 = {
    "no JSON": ("{", "Unrecognized request format"),
    "nothing": ("", "Unrecognized request format"),
    "NaN, which is not JSON": ('{"instances": [[NaN]]}', "Unrecognized request format"),
    "a number beyond a double": ('{"instances": [[1e999]]}', "Unrecognized request format"),
    "not an object": ([], '"instances"'),
    "no instances": ({}, '"instances"'),
    "instances no list": ({"instances": 5}, '"instances"'),
    "no rows": ({"instances": []}, "nothing to score"),
    "a row that is a number": ({"instances": [AS_LIST, 1]}, "Row 1"),
    "too few values": ({"instances": [AS_LIST[:-1]]}, f"{len(AS_LIST) - 1} values"),
    "too many values": ({"instances": [[*AS_LIST, 1]]}, f"{len(AS_LIST) + 1} values"),
    "a missing column": ({"instances": [{k: v for k, v in GOOD.items() if k != NUMERIC[0]}]}, NUMERIC[0]),
    "an unknown column": ({"instances": [{**GOOD, "shoe_size": 44}]}, "shoe_size"),
    "a misspelt column": ({"instances": [{("x" if k == "plan" else k): v for k, v in GOOD.items()}]}, "plan"),
    "text in a number": ({"instances": [{**GOOD, NUMERIC[1]: "12"}]}, NUMERIC[1]),
    "a list in a number": ({"instances": [{**GOOD, NUMERIC[1]: [1]}]}, NUMERIC[1]),
    "a list in a text": ({"instances": [{**GOOD, "plan": ["a"]}]}, "plan"),
    "a number beyond float32": ({"instances": [{**GOOD, NUMERIC[0]: 1e39}]}, NUMERIC[0]),
    "an integer beyond a double": ('{"instances": [[' + "9" * 400 + "]]}", ""),
}


@pytest.mark.parametrize("what", BAD_V1)
def test_bad_v1_input_is_400_with_the_place_named(server: Server, what: str) -> None:
    body, said = BAD_V1[what]
    answer = server.predict(body)
    assert (answer.status_code, said in answer.json()["error"]) == (400, True), answer.text


def test_a_body_that_is_not_json_by_its_type_is_400(server: Server) -> None:
    assert server.predict("1,2,3", **{"content-type": "text/csv"}).status_code == 400


BAD_V2 = {
    "no JSON": "{",
    "no inputs": {},
    "empty inputs": {"inputs": []},
    "an input without a name": {"inputs": [{"shape": [1], "datatype": "FP32", "data": [1]}]},
    "an unknown input": {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]},
    "the same input twice": {"inputs": [*tensors()["inputs"], tensors()["inputs"][0]]},
    "fewer values than the shape": tensors(data=[1.5]),
    "more values than the shape": tensors(data=[1.5] * 3),
    "no values": tensors(data=[], shape=[0]),
    "two columns in one input": tensors(shape=[2, 2], data=[1.5] * 4),
    "a shape without rows": tensors(shape=[]),
    "a negative shape": tensors(shape=[-1]),
    "rows that differ": tensors(shape=[1], data=[1.5]),
    "an unknown datatype": tensors(datatype="FP99"),
    "text for a number": tensors(datatype="BYTES", data=["a", "b"]),
    "text in a number": tensors(data=["a", "b"]),
    "data that is no list": tensors(data="x"),
    "null data": tensors(data=None),
    "a number beyond float32": tensors(data=[1e39, 1.0]),
}


@pytest.mark.parametrize("what", BAD_V2)
def test_bad_v2_input_is_400_and_the_connection_survives(server: Server, what: str) -> None:
    answer = server.infer(BAD_V2[what])
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]
    assert "close" not in answer.headers.get("connection", "")


@pytest.mark.parametrize("length", ["2", "x", "-1", "999999"])
def test_binary_rubbish_is_400(server: Server, length: str) -> None:
    headers = {"inference-header-content-length": length, "content-type": "application/octet-stream"}
    assert server.infer(b'{"inputs": [{"name": 1}]}\x00\x01', **headers).status_code == 400


def test_an_unknown_model_is_404(server: Server) -> None:
    answer = requests.post(f"{server.url}/v1/models/other:predict", json={"instances": [GOOD]}, timeout=5)
    assert answer.status_code == 404


def test_a_body_above_the_cap_is_413_announced_or_not(server: Server) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * 100_000

    announced = requests.post(f"{server.url}/v1/models/churn:predict", data=b"x" * 2_000_000, timeout=5)
    streamed = requests.post(f"{server.url}/v2/models/churn/infer", data=pieces(), timeout=5)
    assert (announced.status_code, streamed.status_code) == (413, 413)


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_strangers_cannot_load_or_unload_models(server: Server, verb: str) -> None:
    answer = requests.post(f"{server.url}/v2/repository/models/churn/{verb}", timeout=5)
    assert answer.status_code == 404
    assert server.predict({"instances": [GOOD]}).status_code == 200


def test_metadata_names_the_columns_and_the_digest(server: Server, trees: TrainedArtefact) -> None:
    answer = requests.get(f"{server.url}/v2/models/churn", timeout=5).json()
    assert answer["versions"] == [trees.digest]
    assert [each["name"] for each in answer["inputs"]] == [*NUMERIC, *CATEGORICAL]
    assert {each["datatype"] for each in answer["inputs"]} == {"FP32", "BYTES"}
    assert answer["outputs"] == [{"name": "probability", "datatype": "FP32", "shape": [-1]}]


def test_every_answer_says_which_model_and_revision_gave_it(server: Server, trees: TrainedArtefact) -> None:
    headers = server.predict({"instances": [GOOD]}, **{"x-request-id": "r-17"}).headers
    found = (headers["x-model-digest"], headers["x-model-revision"], headers["x-request-id"])
    assert found == (trees.digest, "blue", "r-17")


def test_requests_and_errors_are_counted_by_code_with_fine_latency_buckets(server: Server) -> None:
    before = server.metric("model_requests_total", 200), server.metric("model_request_errors_total", 400)
    server.predict({"instances": [GOOD]})
    server.predict({"instances": []})
    after = server.metric("model_requests_total", 200), server.metric("model_request_errors_total", 400)
    text = requests.get(f"{server.url}/metrics", timeout=5).text
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)
    assert 'model_request_seconds_bucket{le="0.0005",model_name="churn",revision="blue"}' in text
    assert "request_predict_seconds_bucket" in text, "KServe's own metrics are there too"


def run_to_its_end(model: TrainedArtefact, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command(model, free_port()), *more], capture_output=True, text=True, timeout=30, check=False
    )


def copied(model: TrainedArtefact, to: Path) -> TrainedArtefact:
    to.mkdir()
    for path in model.directory.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return TrainedArtefact(to, model.digest, None, [], [])


def test_a_model_whose_bytes_changed_is_not_served(trees: TrainedArtefact, tmp_path: Path) -> None:
    model = copied(trees, tmp_path / trees.digest)
    (model.directory / "model.onnx").write_bytes((model.directory / "model.onnx").read_bytes() + b"\0")
    ended = run_to_its_end(model)
    assert (ended.returncode, "damaged or exchanged" in ended.stderr) == (65, True), ended.stderr


def test_a_model_other_than_the_one_that_was_asked_for_is_not_served(trees: TrainedArtefact) -> None:
    ended = run_to_its_end(trees, "--model_digest", "0" * 64)
    assert (ended.returncode, f"expected {'0' * 64}" in ended.stderr) == (65, True), ended.stderr


def test_a_schema_that_does_not_fit_the_model_is_not_served(trees: TrainedArtefact, tmp_path: Path) -> None:
    model = copied(trees, tmp_path / "elsewhere")
    (model.directory / "schema.json").write_text(json.dumps({"numeric": ["shoe_size"], "categorical": []}))
    ended = run_to_its_end(model)
    assert (ended.returncode, "inputs differ" in ended.stderr) == (65, True), ended.stderr


def test_a_directory_without_a_model_is_one_sentence_and_no_traceback(tmp_path: Path) -> None:
    ended = run_to_its_end(TrainedArtefact(tmp_path, "", None, [], []))
    assert (ended.returncode, len(ended.stderr.splitlines())) == (65, 1), ended.stderr


def test_an_answer_does_not_wait_for_its_headers_to_be_acknowledged() -> None:
    with listen("127.0.0.1", 0) as to, socket.create_connection(to.getsockname()), to.accept()[0] as accepted:
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
