"""Replayed traffic keeps its rate whatever the answers, counts what it sends, and leaves nothing behind."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from common.errors import Interrupted, InvalidData
from common.replay import Replay
from common.settings import Kserve, Settings, Traffic
from common.tools import Tools
from common.traffic import LiveTraffic, ReplayTraffic
from tests.serving.artefacts import TrainedArtefact
from tests.serving.kube import free_port, get, until
from tests.serving.test_model_server import Server, command

ROWS = [{"age": 1}, {"age": None}, {"age": 3}]


class Recorder(ThreadingHTTPServer):
    """Answers predictions with whatever code `answer` gives, and keeps what it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, dict[str, str], bytes, Any]] = []
        self.answer: Callable[[], int] = lambda: 200
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever left before the answer is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Recorder

    def do_POST(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers["content-length"]))
        self.server.seen.append((self.path, headers, body, self.client_address))
        code = self.server.answer()
        self.send_response(code)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def replay(rate: float = 400, connections: int = 4, ingress: str = "") -> ReplayTraffic:
    section = Traffic(source="replay", requests_per_second=rate, connections=connections)
    return ReplayTraffic(section, Kserve(ingress_url=ingress))


def nothing_is_left() -> bool:
    return not [thread for thread in threading.enumerate() if thread.name == "replay"]


def test_a_model_server_counts_exactly_the_requests_that_were_counted_here(trees: TrainedArtefact) -> None:
    port = free_port()
    process = subprocess.Popen(command(trees, port), env={**os.environ, "FAULTS": "errors=10%"})
    try:
        until(lambda: get(f"http://127.0.0.1:{port}/v2/models/churn/ready") == 200)
        server = Server(f"http://127.0.0.1:{port}")
        with replay().during(server.url, "churn", lambda: trees.rows) as sent:
            until(lambda: sent.requests >= 100)
        counted = {code: int(server.metric("model_requests_total", code)) for code in (200, 500)}
    finally:
        process.terminate()
        process.wait(10)
    assert (sent.by_code, sent.failed) == (counted, 0)
    assert sent.by_code[500] == sent.requests // 10


def test_rows_go_round_one_a_request_under_ids_of_their_own_over_connections_that_are_kept(recorder: Recorder) -> None:
    with replay().during(recorder.url, "churn", lambda: ROWS) as sent:
        until(lambda: sent.requests >= 30)
    assert {path for path, *_ in recorder.seen} == {"/v1/models/churn:predict"}
    assert {body for _, _, body, _ in recorder.seen} == {
        b'{"instances": [{"age": %s}]}' % n for n in (b"1", b"null", b"3")
    }
    assert len({headers["x-request-id"] for _, headers, _, _ in recorder.seen}) == len(recorder.seen)
    assert len({client for *_, client in recorder.seen}) <= 4


def test_an_ingress_is_asked_in_the_name_of_the_service(recorder: Recorder) -> None:
    with replay(ingress=recorder.url + "/").during("http://churn.models.example.com", "churn", lambda: ROWS) as sent:
        until(lambda: sent.requests)
    assert recorder.seen[0][1]["host"] == "churn.models.example.com"


def test_a_request_does_not_wait_for_the_answers_to_those_before_it(recorder: Recorder) -> None:
    together = threading.Barrier(8, timeout=20)
    recorder.answer = lambda: 200 if together.wait() >= 0 else 500  # nobody is answered before eight have asked
    with replay(connections=8).during(recorder.url, "churn", lambda: ROWS) as sent:
        until(lambda: sent.requests >= 16)
        together.abort()
    assert sent.by_code.keys() == {200}


def test_requests_that_find_no_free_connection_wait_are_counted_and_are_sent_later(recorder: Recorder) -> None:
    released = threading.Event()
    recorder.answer = lambda: 200 if released.wait(20) else 500
    with replay(rate=200, connections=2).during(recorder.url, "churn", lambda: ROWS) as sent:
        waiting = until(lambda: sent.waiting > 20 and sent.waiting)
        assert (len(recorder.seen), sent.requests) == (2, 0)
        released.set()
        until(lambda: sent.requests > waiting)
        until(lambda: sent.waiting < 5)
    assert sent.failed == 0


@pytest.mark.parametrize("left_by", [Interrupted(15), ValueError("a bug of the step"), KeyboardInterrupt()])
def test_nothing_is_left_behind_however_the_block_ends_and_whoever_does_not_answer(
    recorder: Recorder, left_by: BaseException
) -> None:
    released = threading.Event()
    recorder.answer = lambda: 200 if released.wait(20) else 500
    with pytest.raises(type(left_by)), replay().during(recorder.url, "churn", lambda: ROWS):  # noqa: PT012
        until(lambda: len(recorder.seen) == 4)
        assert not nothing_is_left()
        raise left_by
    assert nothing_is_left()
    released.set()


def test_a_dead_address_fails_every_request_and_nothing_else() -> None:
    with replay().during(f"http://127.0.0.1:{free_port()}", "churn", lambda: ROWS) as sent:
        until(lambda: sent.failed >= 20)
    assert sent.by_code == {}
    assert nothing_is_left()


def test_what_ends_the_replay_itself_is_raised_where_it_is_used(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError("a bug of the replay")

    monkeypatch.setattr(Replay, "_ask", broken)
    with pytest.raises(ZeroDivisionError), replay().during(recorder.url, "churn", lambda: ROWS):
        until(nothing_is_left)


@pytest.mark.parametrize("rows", [[], [{"age": float("nan")}], [{"age": object()}]])
def test_rows_that_cannot_be_sent_are_refused_before_anything_is_sent(recorder: Recorder, rows: list[Any]) -> None:
    with pytest.raises(InvalidData), replay().during(recorder.url, "churn", lambda: rows):
        pass
    assert recorder.seen == []


def test_live_traffic_sends_nothing_and_reads_no_row() -> None:
    with LiveTraffic().during("http://127.0.0.1:1", "churn", lambda: pytest.fail("rows were read")) as sent:
        assert (sent.requests, sent.by_code) == (0, {})


@pytest.mark.parametrize(("source", "kind"), [("live", LiveTraffic), ("replay", ReplayTraffic)])
def test_the_settings_choose(source: str, kind: type) -> None:
    assert type(Tools(Settings(traffic={"source": source})).traffic) is kind
