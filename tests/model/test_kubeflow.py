"""One contract, two clients: a pipeline runs once for its key, and a failure says what a component said last."""

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from common import kubeflow_client
from common.errors import AccessRefused, DeadlineExceeded, Unavailable
from common.kubeflow_client import ClusterPipelines, LocalPipelines
from common.kubeflow_local import last_error
from common.settings import Kubeflow
from tests.model.fake_kubeflow import FakeKubeflow

COMPONENT = """
# PIPELINE DEFINITION
components:
  comp-work:
    executorLabel: exec-work
    inputDefinitions: {parameters: {text: {parameterType: STRING}}}
deploymentSpec:
  executors:
    exec-work:
      container:
        args: [--executor_input, '{{$}}', --function_to_execute, work]
        command:
        - sh
        - -ec
        - |
          program_path=$(mktemp -d)
          printf "%s" "$0" > "$program_path/ephemeral_component.py"
          _KFP_RUNTIME=true python3 -m kfp.dsl.executor_main --component_module_path "$program_path/ephemeral_component.py" "$@"
        - |
          import os, pathlib, time
          def work(text: str):
              kind, _, rest = text.partition(":")
              if kind == "write":
                  pathlib.Path(rest).write_text(os.environ["OMP_NUM_THREADS"])
              elif kind == "sleep":
                  time.sleep(60)
              else:
                  raise ValueError(rest)
        image: python:3.11
pipelineInfo: {name: work}
root:
  dag:
    tasks:
      work:
        componentRef: {name: comp-work}
        inputs: {parameters: {text: {componentInputParameter: text}}}
        taskInfo: {name: work}
  inputDefinitions: {parameters: {text: {parameterType: STRING}}}
schemaVersion: 2.1.0
sdkVersion: kfp-2.16.1
"""  # noqa: E501
PACKAGE = COMPONENT.encode()


@pytest.fixture(autouse=True)
def own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLOPS_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeKubeflow]:
    monkeypatch.setenv("HOME", str(tmp_path))  # kfp keeps a context file there
    monkeypatch.setattr(kubeflow_client, "POLL_SECONDS", 0)
    with FakeKubeflow(token="secret") as server:
        yield server


def cluster(server: FakeKubeflow, token: str = "secret") -> ClusterPipelines:
    return ClusterPipelines(Kubeflow(host=server.url, token=token))


def test_both_clients_are_called_alike() -> None:
    assert inspect.signature(LocalPipelines.run) == inspect.signature(ClusterPipelines.run)


def test_the_local_runner_runs_the_yaml_with_one_thread_and_leaves_only_its_log(tmp_path: Path) -> None:
    ran = LocalPipelines().run("work", PACKAGE, {"text": f"write:{tmp_path / 'out'}"}, key="k1", deadline_seconds=60)
    assert ran.succeeded
    assert (tmp_path / "out").read_text() == "1"
    left = sorted(path.name for path in (tmp_path / "state").rglob("*") if path.is_file())
    assert left == ["work.log"]


def test_a_failing_component_is_told_by_its_own_last_line() -> None:
    ran = LocalPipelines().run("work", PACKAGE, {"text": "fail:rows are missing"}, key="k1", deadline_seconds=60)
    assert not ran.succeeded
    assert ran.error == "ValueError: rows are missing"


def test_a_pipeline_that_takes_too_long_is_ended() -> None:
    with pytest.raises(DeadlineExceeded, match="did not end within 4 s"):
        LocalPipelines().run("work", PACKAGE, {"text": "sleep:"}, key="k1", deadline_seconds=4)


def test_the_last_error_of_a_log_is_found_under_colours_and_noise(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("    KeyError: 'first'\n  text\n    \x1b[91mcommon.errors.InvalidData: No rows.\x1b[0m\n-----\n")
    assert last_error(log) == "common.errors.InvalidData: No rows."


def test_a_cluster_gets_pipeline_version_and_run_of_a_key_and_a_run_under_way_is_joined(server: FakeKubeflow) -> None:
    with pytest.raises(DeadlineExceeded):
        cluster(server).run("work", PACKAGE, {"text": "a"}, key="k" * 64, deadline_seconds=-1)
    ended = cluster(server).run("work", PACKAGE, {"text": "a"}, key="k" * 64, deadline_seconds=30)
    assert (ended.id, ended.state, ended.succeeded) == ("r1", "SUCCEEDED", True)
    assert [each["display_name"] for each in server.pipelines] == ["work"]
    assert len(server.versions) == 1
    (run,) = server.runs
    assert run["display_name"] == f"work-{'k' * 16}"
    assert run["runtime_config"]["parameters"] == {"text": "a"}
    assert run["pipeline_spec"]["pipelineInfo"]["name"] == "work"


def test_a_run_that_succeeded_is_run_anew_for_whoever_misses_what_it_made(server: FakeKubeflow) -> None:
    runs = [cluster(server).run("work", PACKAGE, {"text": "a"}, key="k1", deadline_seconds=30) for _ in range(2)]
    assert [(run.id, run.state) for run in runs] == [("r1", "SUCCEEDED"), ("r2", "SUCCEEDED")]
    assert len(server.versions) == 1


def test_another_definition_is_another_version_and_a_failed_run_is_tried_anew(server: FakeKubeflow) -> None:
    server.outcome = "FAILED"
    failed = cluster(server).run("work", PACKAGE, {"text": "a"}, key="k1", deadline_seconds=30)
    assert (failed.state, failed.error) == ("FAILED", "component train: out of memory")
    server.outcome = "SUCCEEDED"
    changed = PACKAGE.replace(b"python:3.11", b"python:3.12")
    assert cluster(server).run("work", changed, {"text": "a"}, key="k1", deadline_seconds=30).succeeded
    assert (len(server.versions), len(server.runs)) == (2, 2)


@pytest.mark.parametrize("state", ["CANCELED", "SKIPPED"])
def test_a_run_that_somebody_cancelled_has_ended(server: FakeKubeflow, state: str) -> None:
    server.outcome = state
    ended = cluster(server).run("work", PACKAGE, {"text": "a"}, key="k1", deadline_seconds=5)
    assert (ended.state, ended.succeeded) == (state, False)


def test_a_token_that_expires_while_a_run_is_waited_for_is_told_at_once(server: FakeKubeflow) -> None:
    server.outcome = "RUNNING"
    server.faults = [*[401] * 20, 503]  # from the end: one look is missed, then the token is refused
    with pytest.raises(AccessRefused, match="refused the token"):
        cluster(server).run("work", PACKAGE, {"text": "a"}, key="k1", deadline_seconds=5)
    assert len(server.faults) == 19


def test_a_server_that_is_away_for_a_moment_is_asked_again_and_one_that_stays_away_is_told(
    server: FakeKubeflow,
) -> None:
    server.faults = [503] * 3
    assert cluster(server).run("work", PACKAGE, {"text": "a"}, key="k1", deadline_seconds=30).succeeded
    server.faults = [503] * 100
    with pytest.raises(Unavailable, match="did not answer"):
        cluster(server).run("work", PACKAGE, {"text": "a"}, key="k2", deadline_seconds=30)


def test_a_refused_token_and_a_dead_server_are_two_things(server: FakeKubeflow) -> None:
    with pytest.raises(AccessRefused, match="refused the token"):
        cluster(server, token="wrong").run("work", PACKAGE, {"text": "a"}, key="k", deadline_seconds=5)
    dead = ClusterPipelines(Kubeflow(host="http://127.0.0.1:1"))
    with pytest.raises(Unavailable, match=r"Kubeflow Pipelines at http://127\.0\.0\.1:1"):
        dead.run("work", PACKAGE, {"text": "a"}, key="k", deadline_seconds=5)
