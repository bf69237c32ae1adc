"""Alerts through a real HTTP receiver, a file and the log: told once, again after the cool-down, never lost quietly."""

import json
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from common.alerts import Alerts, Incident, holds
from common.minio_client import ObjectStore
from common.settings import Settings
from common.settings_schedules import AlertRule
from common.settings_schedules import Alerts as Section

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Receiver:
    """Somebody's alert service on a port of this machine: keeps what it was sent, answers as it is told to."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = receiver.answers.pop(0) if receiver.answers else 200
                if status == 200:
                    receiver.bodies.append(body)
                    receiver.ids.append(str(self.headers["Idempotency-Key"]))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/hooks/a-secret-path"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "0")
    running = Receiver()
    yield running
    running.close()


@pytest.fixture
def store(settings: Settings) -> ObjectStore:
    store = ObjectStore(settings.minio.model_copy(update={"bucket": f"alerts-{uuid.uuid4().hex[:8]}"}))
    store.ensure_bucket()
    return store


RULE = AlertRule(name="high drift", condition="drift_share > 0.5", severity="critical", cooldown_minutes=60)


def alerts(store: ObjectStore, receiver: Receiver, *rules: AlertRule, file: str = "") -> Alerts:
    section = Section(rules=rules or (RULE,), log=False, file=file, webhook_url=SecretStr(receiver.url))
    return Alerts(section, store)


def incident(name: str = "window 1", share: float = 0.75, subject: str = "churn-predictor") -> Incident:
    return Incident(subject, name, "6 of 8 columns drifted", {"drift_share": share}, link="s3://mlops/drift.html")


def test_the_receiver_gets_rule_severity_text_and_numbers(store: ObjectStore, receiver: Receiver) -> None:
    (sent,) = alerts(store, receiver).check(incident(), NOW)
    (body,) = receiver.bodies
    assert body["text"] == "[critical] churn-predictor: 6 of 8 columns drifted"
    assert (body["rule"], body["facts"], body["link"]) == ("high drift", {"drift_share": 0.75}, "s3://mlops/drift.html")
    assert receiver.ids == [sent.id] == [body["id"]]


def test_nothing_is_said_where_no_rule_holds(store: ObjectStore, receiver: Receiver) -> None:
    assert alerts(store, receiver).check(incident(share=0.5), NOW) == ()
    assert receiver.bodies == []


def test_the_same_incident_is_said_once_even_after_the_cool_down_and_by_another_run(
    store: ObjectStore, receiver: Receiver
) -> None:
    for hours in (0, 0, 5):
        alerts(store, receiver).check(incident(), NOW + timedelta(hours=hours))
    assert len(receiver.bodies) == 1


def test_another_incident_of_the_subject_waits_for_the_cool_down_and_another_subject_does_not(
    store: ObjectStore, receiver: Receiver
) -> None:
    known = alerts(store, receiver)
    known.check(incident("window 1"), NOW)
    assert known.check(incident("window 2"), NOW + timedelta(minutes=59)) == ()
    assert known.check(incident("window 2", subject="other model"), NOW + timedelta(minutes=59))
    assert known.check(incident("window 3"), NOW + timedelta(minutes=60))
    assert [body["incident"] for body in receiver.bodies] == ["window 1", "window 2", "window 3"]


def test_a_receiver_that_is_away_for_a_moment_is_asked_again(store: ObjectStore, receiver: Receiver) -> None:
    receiver.answers = [503, 503]
    assert alerts(store, receiver).check(incident(), NOW)
    assert len(receiver.bodies) == 1


def test_a_refused_alert_fails_nothing_and_is_told_next_time_to_whom_it_did_not_reach(
    store: ObjectStore, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.answers = [404]
    file = tmp_path / "alerts.jsonl"
    told = alerts(store, receiver, file=str(file))
    assert told.check(incident(), NOW)
    assert receiver.bodies == []
    assert told.check(incident(), NOW)
    assert len(receiver.bodies) == 1
    assert len(file.read_text().splitlines()) == 1


def test_a_dead_receiver_fails_nothing_and_its_url_is_in_no_log(
    store: ObjectStore, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.answers = [503] * 4
    assert alerts(store, receiver).check(incident(), NOW) == ()
    receiver.close()
    assert alerts(store, receiver).check(incident(), NOW) == ()
    said = capsys.readouterr()
    assert "reached nobody" in said.out + said.err
    assert "a-secret-path" not in said.out + said.err


def test_the_file_gets_a_whole_line_of_json_each(store: ObjectStore, receiver: Receiver, tmp_path: Path) -> None:
    told = alerts(store, receiver, RULE, RULE.model_copy(update={"name": "other"}), file=str(tmp_path / "a.jsonl"))
    assert len(told.check(incident(), NOW)) == 2
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [line["rule"] for line in lines] == ["high drift", "other"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [("share > 0.5", True), ("share >= 0.75", True), ("share < limit", True), ("share != 0.75", False),
     ("unknown > 0", False), ("share > unknown", False), ("  share  >  -1 ", True)],
)  # fmt: skip
def test_conditions_compare_a_number_with_a_number_or_a_name(condition: str, expected: bool) -> None:
    assert holds(condition, {"share": 0.75, "limit": 0.8}) is expected


@pytest.mark.parametrize("condition", ["share >", "__import__('os')", "share > 1; drop", "0.5 < share", "a > b > c"])
def test_a_condition_that_is_not_understood_is_refused_when_it_is_configured(condition: str) -> None:
    with pytest.raises(ValidationError):
        AlertRule(name="x", condition=condition)


def test_two_rules_of_one_name_are_refused_because_they_would_silence_each_other() -> None:
    with pytest.raises(ValidationError, match="two alert rules"):
        Section(rules=(RULE, RULE))
