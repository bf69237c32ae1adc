"""What the servers counted is read alike from themselves and from Prometheus, and trouble is said or left out."""

import json
import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from churn.windows import between
from common import metrics_client, metrics_http
from common.errors import ExitCode, Unavailable
from common.metrics_client import Metrics, PrometheusMetrics, Sample, ScrapedMetrics
from common.settings import Prometheus as Section
from tests.serving.artefacts import train
from tests.serving.kube import free_port, until
from tests.uc2.metrics_world import Answer, FakePrometheus, ModelServer, answering, real_prometheus

CLIENTS = {"embedded": ScrapedMetrics, "remote": PrometheusMetrics}


@dataclass
class World:
    """Two model servers, the list of them, and a client that reads their metrics in one of three ways."""

    v1: ModelServer
    v2: ModelServer
    targets: list[dict[str, Any]] = field(default_factory=list)
    metrics: Metrics = field(init=False)

    def read(self) -> dict[str, Sample]:
        samples = self.metrics.read("models", "churn")
        assert len({sample.revision for sample in samples}) == len(samples)
        return {sample.revision: sample for sample in samples}

    def fresh(self) -> dict[str, Sample]:
        """A reading of both servers of which every scrape was begun after now: Prometheus is behind, may miss one."""
        now = time.time()

        def read_anew() -> dict[str, Sample]:
            found = self.read()
            return found if len(found) == 2 and all(sample.at > now for sample in found.values()) else {}

        found: dict[str, Sample] = until(read_anew)
        return found


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "0")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ModelServer, ModelServer]]:
    model = train(tmp_path_factory.mktemp("model"), trees=False)
    started = [ModelServer(model, "v1").start(), ModelServer(model, "v2").start("errors=100%")]
    yield started[0], started[1]
    for each in started:
        each.stop()


@pytest.fixture(scope="module", params=["scraped", "fake Prometheus", "real Prometheus"])
def world(
    request: pytest.FixtureRequest, servers: tuple[ModelServer, ModelServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    program = shutil.which("prometheus")
    if request.param == "real Prometheus" and not program:
        pytest.skip("there is no `prometheus` on PATH")
    world = World(*servers)
    with answering(lambda path, query, headers: (200, json.dumps(world.targets))) as list_url:
        if request.param == "scraped":
            world.metrics = ScrapedMetrics(Section(url=f"{list_url}/sd/targets", embedded=True))
            yield world
            return
        place = (
            real_prometheus(str(program), list_url, tmp_path_factory.mktemp("prometheus"))
            if request.param == "real Prometheus" else answering(FakePrometheus(world.targets))
        )  # fmt: skip
        with place as url:
            world.metrics = PrometheusMetrics(Section(url=url, stale_seconds=1.5))
            yield world


@pytest.fixture(autouse=True)
def both_listed(request: pytest.FixtureRequest) -> None:
    if "world" in request.fixturenames:
        world: World = request.getfixturevalue("world")
        world.targets[:] = [world.v1.target(), world.v2.target()]
        until(lambda: set(world.read()) == {"v1", "v2"})


# The contract


def test_requests_errors_and_latencies_are_counted_by_revision(world: World) -> None:
    before = world.fresh()
    assert world.v1.predict(5) == [200] * 5
    assert world.v1.predict(2, {"instances": []}) == [400] * 2
    assert world.v2.predict(3) == [500] * 3
    after = world.fresh()
    arms = between(before.values(), after.values(), slower_than_ms=2500)
    assert {name: (arm.requests, arm.errors, arm.refused, arm.slow) for name, arm in arms.items()} == {
        "v1": (7, 0, 2, 0),
        "v2": (3, 3, 0, 0),
    }, "a refused request is no error of the server, unless the other one takes it"
    assert arms["v1"].p95_ms is not None


def test_a_sample_says_who_was_scraped_when_and_counts_every_answer_in_its_last_bucket(world: World) -> None:
    sample = world.fresh()["v1"]
    assert sample.instance == world.v1.address
    assert abs(time.time() - sample.at) < 10
    assert sample.buckets[-1] == (math.inf, sample.requests)
    assert [bound for bound, _ in sample.buckets[:2]] == [0.0005, 0.001]


def test_servers_without_traffic_are_read_and_idle(world: World) -> None:
    arms = between(world.fresh().values(), world.fresh().values(), 100)
    assert {name: arm.requests for name, arm in arms.items()} == {"v1": 0, "v2": 0}


def test_what_another_namespace_or_service_did_is_not_read(world: World) -> None:
    world.targets.append(world.v1.target(namespace="other", revision="v9"))
    until(lambda: world.metrics.read("other", "churn"))
    assert set(world.read()) == {"v1", "v2"}
    assert world.metrics.read("models", "another") == ()
    assert world.metrics.read('models",x="', "churn") == ()


def test_a_target_that_is_down_is_absent_and_the_others_are_there(world: World) -> None:
    world.targets.append({**world.v1.target(revision="v3"), "targets": [f"127.0.0.1:{free_port()}"]})
    assert set(world.fresh()) == {"v1", "v2"}


def test_a_target_that_is_gone_is_absent_once_its_samples_are_stale(world: World) -> None:
    world.targets.pop()
    until(lambda: set(world.read()) == {"v1"})


def test_a_restarted_server_is_counted_from_its_start_without_what_it_counted_before(world: World) -> None:
    world.v2.predict(6)
    world.v2.predict(5, {"instances": []})  # a counter that the new process will not have
    before = world.fresh()
    assert before["v2"].requests >= 11
    world.v2.stop()
    world.v2.start("errors=100%")
    assert world.v2.predict(4) == [500] * 4
    after = world.fresh()
    arm = between(before.values(), after.values(), 2500)["v2"]
    assert (after["v2"].requests, after["v2"].errors) == (4, 4)
    assert (arm.requests, arm.errors) == (4, 4)


def test_doctor_is_told_what_answers(world: World) -> None:
    assert world.metrics.ping().startswith(("/metrics of 2 model servers", "Prometheus "))


# Trouble with the server of metrics, whichever it is


@pytest.fixture(params=list(CLIENTS))
def kind(request: pytest.FixtureRequest) -> Any:
    return CLIENTS[request.param]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((500, "out of\nmemory"), "answered 500: out of memory"),
        ((302, ""), "answered 302"),
        ((400, '{"error": "parse error"}'), "parse error"),
        ((503, ""), "do not answer"),
        ((200, "<html>Welcome</html>"), "does not answer as Prometheus does"),
        ((200, ""), "does not answer as Prometheus does"),
        ((200, '{"status": "success"}'), "does not answer as Prometheus does"),
        ((200, '["a", 1]'), "does not answer as Prometheus does"),
        ((200, '"no"'), "does not answer as Prometheus does"),
        ((200, "5"), "does not answer as Prometheus does"),
        ((200, '{"data": {"resultType": "vector", "result": []}}'), "does not answer as Prometheus does"),
        ((200, '{"data": {"resultType": "matrix", "result": [{"values": [[1, "one"]]}]}}'), "as Prometheus does"),
    ],
)
def test_an_answer_that_is_none_is_said_in_a_sentence_that_names_the_address(
    kind: Any, answer: Answer, said: str
) -> None:
    with answering(lambda path, query, headers: answer) as url, pytest.raises(Unavailable, match=said) as raised:
        kind(Section(url=url)).read("models", "churn")
    assert url in raised.value.message


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValidationError, match=r"set prometheus\.token") as raised:
        Section(url="http://me:hunter2@prometheus:9090")
    assert "hunter2" not in str(raised.value)


def test_who_is_not_let_in_is_told_which_setting_lets_him_in(kind: Any) -> None:
    refused = pytest.raises(Unavailable, match=r"refused the query for metrics \(401\)")
    with answering(lambda path, query, headers: (401, "")) as url, refused as raised:
        kind(Section(url=url)).ping()
    assert raised.value.exit_code is ExitCode.PERMISSION
    assert "MLOPS_PROMETHEUS__TOKEN" in raised.value.hint


def test_the_token_is_sent_whatever_netrc_says_of_the_host(
    kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    seen = []

    def answer(path: str, query: dict[str, str], headers: Any) -> Answer:
        seen.append(headers["Authorization"])
        return 200, "[]"

    with answering(answer) as url:
        with_token = Section(url=url, token=SecretStr("s3cret"))
        metrics_http.MetricsServer(with_token).get()
    assert seen == ["Bearer s3cret"]


def test_nobody_there_is_unavailable(kind: Any) -> None:
    with pytest.raises(Unavailable, match="do not answer"):
        kind(Section(url=f"http://127.0.0.1:{free_port()}")).read("models", "churn")


@pytest.mark.parametrize("url", ["nonsense", "http://", "ftp://localhost", "http://[::1"])
def test_an_address_that_is_none_does_not_get_past_the_settings(url: str) -> None:
    with pytest.raises(ValidationError, match="url"):
        Section(url=url)


def test_a_server_that_hangs_is_given_up(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_http, "READ_SECONDS", 0.05)

    def hang(path: str, query: dict[str, str], headers: Any) -> Answer:
        time.sleep(0.3)
        return 200, "[]"

    with answering(hang) as url, pytest.raises(Unavailable, match="ReadTimeout"):
        kind(Section(url=url)).ping()


# Trouble with one target


@pytest.mark.parametrize("answer", [(500, ""), (200, "<html>"), (200, 'model_requests_total{code="200" 1'), (200, "")])
def test_a_target_that_answers_garbage_is_absent(answer: Answer) -> None:
    with answering(lambda path, query, headers: answer) as target:
        assert scraped(target) == ()


def test_a_target_that_hangs_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_client, "SCRAPE_SECONDS", (0.5, 0.05))

    def hang(path: str, query: dict[str, str], headers: Any) -> Answer:
        time.sleep(0.3)
        return 200, ""

    with answering(hang) as target:
        assert scraped(target) == ()


def scraped(target: str) -> tuple[Sample, ...]:
    labels = {"namespace": "models", "service": "churn", "revision": "v1"}
    listed = json.dumps([{"targets": [target.removeprefix("http://")], "labels": labels}])
    with answering(lambda path, query, headers: (200, listed)) as url:
        return ScrapedMetrics(Section(url=url)).read("models", "churn")


# What only Prometheus can answer


def matrix(*series: tuple[dict[str, str], float, str]) -> Answer:
    result = [
        {"metric": {"__name__": "model_requests_total", "revision": "v1", **labels}, "values": [[at, value]]}
        for labels, at, value in series
    ]
    return 200, json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})


def test_a_pod_that_two_jobs_scrape_is_one_instance() -> None:
    """Counted twice it would be twice the evidence."""
    one = {"pod": "p", "code": "200", "instance": "10.0.0.1:8080", "job": "annotations"}
    two = {**one, "instance": "10.0.0.1:9088", "job": "pod-monitor"}
    with answering(lambda path, query, headers: matrix((one, 10.0, "7"), (two, 11.0, "8"))) as url:
        (sample,) = PrometheusMetrics(Section(url=url)).read("models", "churn")
    assert (sample.instance, sample.at, sample.requests) == ("p", 11.0, 8)


def test_series_that_the_newest_scrape_lacks_are_of_a_process_that_is_gone() -> None:
    old, new = {"instance": "a", "code": "500"}, {"instance": "a", "code": "200"}
    with answering(lambda path, query, headers: matrix((old, 10.0, "40"), (new, 11.0, "1"))) as url:
        (sample,) = PrometheusMetrics(Section(url=url)).read("models", "churn")
    assert (sample.requests, sample.errors) == (1, 0)
