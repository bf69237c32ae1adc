"""Faults on purpose: understood early or refused early, and then injected as often as asked for."""

import asyncio
import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import requests

from common.errors import ConfigError
from common.faults import Faults, parse
from serving.artefact import load
from serving.faults import Share, sabotaged
from serving.model import OnnxModel, current_record
from serving.prediction_log import Record
from tests.serving.artefacts import TrainedArtefact
from tests.serving.kube import free_port, get, until
from tests.serving.test_model_server import Server, command


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", Faults()),
        ("  ", Faults()),
        ("latency=300ms", Faults(latency_ms=300)),
        ("latency=1.5s", Faults(latency_ms=1500)),
        ("errors=5%", Faults(errors=0.05)),
        (" wrong = 20% , errors=0.5%,latency=1ms", Faults(1, 0.005, 0.2)),
        ("wrong=100%", Faults(wrong=1)),
    ],
)
def test_what_the_grammar_knows_is_understood(text: str, faults: Faults) -> None:
    assert parse(text) == faults


@pytest.mark.parametrize(
    "text",
    [
        "latency", "latency=", "latency=300", "latency=-1ms", "latency=300 ms", "latency=1e3ms", "latency=inf s",
        "errors=5", "errors=0.05", "errors=101%", "errors=-1%", "errors=nan%", "wrong=\u0665%", "wrong=2%%",
        "errors=5%,", ",", "slow=1ms", "errors=5%,errors=6%", "errors=5%;wrong=1%", "latency=61s",
        "latency=" + "9" * 400 + "s",
    ],
)  # fmt: skip
def test_what_it_does_not_know_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(text)
    assert "\n" not in refused.value.message
    assert len(refused.value.message) < 200


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.29, 1 / 3, 0.5, 0.99, 1.0])
def test_of_any_thousand_the_share_is_picked_however_they_come(share: float) -> None:
    singly, together = Share(share), Share(share)
    one_by_one = [bool(singly.picked(1)[0]) for _ in range(3000)]
    assert one_by_one == [bool(each) for size in (1, 999, 2000) for each in together.picked(size)]
    assert all(abs(sum(one_by_one[at : at + 1000]) - 1000 * share) <= 1 for at in range(0, 2000, 250))


def test_a_wrong_row_is_turned_in_the_answer_and_in_the_log_alike(trees: TrainedArtefact) -> None:
    model = load(trees.directory)
    faulty = OnnxModel("churn", sabotaged(model, Faults(wrong=0.25)))

    async def ask() -> tuple[list[float], Record]:
        record = Record()
        current_record.set(record)
        columns = await faulty.preprocess({"instances": trees.rows})
        answer: dict[str, Any] = faulty.respond_v1(await faulty.predict(columns))
        return answer["predictions"], record

    answered, record = asyncio.run(ask())
    turned = [p if (at + 1) % 4 else 1 - p for at, p in enumerate(trees.probabilities)]
    assert answered == pytest.approx(turned, abs=1e-5)
    assert record.predictions is not None
    assert record.predictions.tolist() == answered
    assert record.predictions.dtype == np.float32


def test_without_faults_the_model_is_the_model_itself(trees: TrainedArtefact) -> None:
    model = load(trees.directory)
    assert sabotaged(model, Faults()) is model


@pytest.fixture(scope="module")
def faulty(trees: TrainedArtefact) -> Iterator[Server]:
    port = free_port()
    environment = {**os.environ, "FAULTS": "latency=30ms,errors=25%,wrong=50%"}
    process = subprocess.Popen(command(trees, port), env=environment, stderr=subprocess.PIPE)
    try:
        until(lambda: get(f"http://127.0.0.1:{port}/v2/models/churn/ready") == 200)
        yield Server(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        _, said = process.communicate(timeout=10)
    assert b"faults are injected on purpose" in said


def test_a_server_with_faults_is_late_fails_and_errs_as_often_as_told(faulty: Server, trees: TrainedArtefact) -> None:
    body = {"instances": trees.rows[:1]}
    answers = [faulty.predict(body, **{"x-golden": "true"}) for _ in range(40)]
    failed = [answer.json() for answer in answers if answer.status_code == 500]
    right = [p for a in answers if a.status_code == 200 for p in a.json()["predictions"]]
    near = [abs(p - trees.probabilities[0]) < 1e-5 for p in right]
    assert failed == [{"error": "injected"}] * 10
    assert (len(near), sum(near)) == (30, 15)
    assert all("x-model-revision" in answer.headers for answer in answers)
    assert (faulty.metric("model_requests_total", 500), faulty.metric("model_request_errors_total", 500)) == (10, 10)
    text = requests.get(f"{faulty.url}/metrics", timeout=5).text
    fast = re.search(r'^model_request_seconds_bucket{le="0.02".*} (\S+)$', text, re.M)
    assert fast
    assert float(fast[1]) == 0, "the delay is part of what is measured"


def test_a_server_that_is_told_what_it_does_not_understand_does_not_start(trees: TrainedArtefact) -> None:
    ended = subprocess.run(
        command(trees, free_port()), env={**os.environ, "FAULTS": "slow=1"},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (ended.returncode, len(ended.stderr.splitlines())) == (78, 1), ended.stderr
    assert "not 'slow=1'" in ended.stderr
