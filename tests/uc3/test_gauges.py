"""Gauges at a Pushgateway: with the user and password of its URL, and nobody's drift goes unseen for its sake."""

import base64
from types import SimpleNamespace
from typing import Any

import pytest

from tests.secrets.receiver import receiver
from uc3_drift_retraining import gauges
from uc3_drift_retraining.results import DriftReport

REPORT = SimpleNamespace(model_name="m", share=0.5, threshold=0.3, rows=9, columns=(), performance=None)


def publish(url: str) -> None:
    tools: Any = SimpleNamespace(settings=SimpleNamespace(uc3=SimpleNamespace(pushgateway_url=url)))
    report: DriftReport | Any = REPORT
    gauges.publish(tools, report)


@pytest.fixture(autouse=True)
def _state(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("MLOPS_STATE_DIR", str(tmp_path))


def test_user_and_password_of_the_url_are_sent_as_a_login() -> None:
    with receiver() as gateway:
        publish(f"http://bot:p%40%20ss@127.0.0.1:{gateway.port}/push")
    assert gateway.paths == ["/push/metrics/job/drift/model/m"]
    assert gateway.logins == [f"Basic {base64.b64encode(b'bot:p@ ss').decode()}"]


def test_without_them_nothing_is_sent_but_the_gauges() -> None:
    with receiver() as gateway:
        publish(f"http://127.0.0.1:{gateway.port}")
    assert gateway.logins == [""]


@pytest.mark.parametrize("url", ["http://bot:p%40@127.0.0.1:1", "http://127.0.0.1:1", "http://a b"])
def test_a_gateway_that_cannot_be_reached_fails_nothing(url: str) -> None:
    publish(url)
