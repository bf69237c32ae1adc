"""Experiments are what the real Iter8 takes and writes, and end up the same however often they are made."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.iter8_client import Experiments
from common.iter8_manifests import ExperimentPlan, experiment, metrics, objective_names, quantity
from common.iter8_status import ExperimentSeen, status
from common.k8s_errors import NoSuchKind
from common.serving_manifests import is_undecided
from common.settings import Iter8, Prometheus
from common.settings_uc2 import Objectives
from embedded.kube.kinds import KINDS
from embedded.kube.validation import check
from tests.serving.crds import FOLDER, complaints
from tests.serving.fake_kserve import Cluster

Document = dict[str, Any]
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
VALUES = {"request-count": {"v1": 1800.0, "v2": 200.0}, "error-rate": {"v1": 0.0, "v2": None}}
HOLDS = {"v1": (True, True, True), "v2": (False, True, True)}
EXAMPLE = FOLDER / "iter8" / "example-experiment-completed.v2alpha2.yaml"


def plan(
    form: str = "Standard", *, reward: bool = False, name: str = "churn-v2-1", disagreement: bool = True
) -> ExperimentPlan:
    return ExperimentPlan(
        name, "models", "churn", "v1", "v2", Objectives(), form, reward=reward, largest_step=50, notes={"a": "b"},
        disagreement=disagreement,
    )  # fmt: skip


def reported(verdict: str = "", *, is_finished: bool = False, **more: Any) -> Document:
    seen = ExperimentSeen(
        iterations=3, weight=25, values=VALUES, holds=HOLDS, verdict=verdict, is_finished=is_finished, **more
    )
    return status(plan(), seen, NOW)


def embedded_complaints(document: Document) -> list[Any]:
    (kind,) = (kind for kind in KINDS if kind.kind == document["kind"])
    return list(check(kind, document))


@pytest.mark.parametrize("reward", [False, True])
@pytest.mark.parametrize("decides", [False, True])
@pytest.mark.parametrize("form", ["Standard", "Knative"])
def test_experiment_and_metrics_are_valid_for_the_real_crds(form: str, decides: bool, reward: bool) -> None:
    wanted = plan(form, reward=reward)
    documents = [*metrics(wanted, "http://prometheus:9090/"), experiment(wanted, Iter8(decides=decides))]
    assert [embedded_complaints(each) for each in documents] == [[] for _ in documents]
    assert [complaints(each) for each in documents] == [[] for _ in documents]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("strategy.type", "Canary"),
        ("criteria.objectives.0.upperLimit", 0.01),
        ("criteria.objectives.0.upper_limit", "1"),
        ("duration.interval", 10),
        ("versionInfo.candidates.0.weight", 10),
    ],
)
def test_what_the_real_iter8_refuses_is_refused_on_the_laptop_too(path: str, value: Any) -> None:
    document = experiment(plan(), Iter8())
    node: Any = document["spec"]
    *steps, last = path.split(".")
    for step in steps:
        node = node[int(step)] if step.isdigit() else node[step]
    node[last] = value
    assert embedded_complaints(document) != []
    assert complaints(document) != []


def test_metrics_in_the_older_form_are_refused() -> None:
    (metric, *_) = metrics(plan(), "http://prometheus:9090")
    metric["spec"]["params"] = {"query": "up"}
    assert embedded_complaints(metric) != []
    assert complaints(metric) != []


@pytest.mark.parametrize("decides", [False, True])
def test_every_metric_that_the_criteria_name_is_made(decides: bool) -> None:
    wanted = plan(reward=True)
    criteria = experiment(wanted, Iter8(decides=decides))["spec"]["criteria"]
    named = [criteria["requestCount"], *criteria["indicators"]]
    named += [each["metric"] for each in (*criteria["objectives"], *criteria.get("rewards", []))]
    made = {each["metadata"]["name"]: each["spec"] for each in metrics(wanted, "http://prometheus:9090")}
    assert set(named) <= set(made)
    assert all(made[name]["params"] and made[name]["jqExpression"] for name in named), "Iter8 fails without"


def test_the_numbers_are_the_users_and_quoted_as_iter8_wants_them() -> None:
    spec = experiment(plan(), Iter8())["spec"]
    limits = {each["metric"]: each["upperLimit"] for each in spec["criteria"]["objectives"]}
    assert limits == {"error-rate": "0.01", "latency-p95": "100", "excess-disagreement": "0.05"}
    assert spec["duration"] == {"intervalSeconds": 10, "iterationsPerLoop": 10, "maxLoops": 3}
    assert spec["target"] == "models/churn"


def test_where_iter8_decides_it_is_not_asked_for_what_it_cannot_read() -> None:
    criteria = experiment(plan(reward=True), Iter8(decides=True))["spec"]["criteria"]
    assert [each["metric"] for each in criteria["objectives"]] == list(objective_names(Iter8(decides=True)))
    assert criteria["indicators"] == ["excess-disagreement"]
    assert "rewards" not in criteria


@pytest.mark.parametrize("decides", [False, True])
def test_decisions_that_nobody_compares_are_no_objective_and_no_metric(decides: bool) -> None:
    wanted = plan(disagreement=False)
    documents = [*metrics(wanted, "http://prometheus:9090"), experiment(wanted, Iter8(decides=decides))]
    assert "excess-disagreement" not in str(documents)
    assert [complaints(each) for each in documents] == [[] for _ in documents]


def test_no_password_is_written_into_a_metric() -> None:
    made = metrics(plan(), "http://me:hunter2@prometheus:9090")
    assert {each["spec"]["urlTemplate"] for each in made} == {"http://prometheus:9090/api/v1/query"}


@pytest.mark.parametrize(("embedded", "said"), [(True, "http://prometheus.invalid"), (False, "http://127.0.0.1:9")])
def test_the_list_of_targets_is_not_named_as_an_api_that_iter8_could_ask(embedded: bool, said: str) -> None:
    assert Prometheus(url="http://127.0.0.1:9", embedded=embedded).api_url == said


@pytest.mark.parametrize(("reward", "pattern"), [(False, "Canary"), (True, "A/B")])
def test_iter8_allows_a_reward_in_a_b_only(reward: bool, pattern: str) -> None:
    spec = experiment(plan(reward=reward), Iter8())["spec"]
    assert (spec["strategy"]["testingPattern"], "rewards" in spec["criteria"]) == (pattern, reward)


@pytest.mark.parametrize("form", ["Standard", "Knative"])
def test_the_weight_is_referred_to_at_the_place_where_our_manifest_has_it(form: str) -> None:
    from tests.serving.test_canary_manifests import declared

    (candidate,) = experiment(plan(form), Iter8())["spec"]["versionInfo"]["candidates"]
    node: Any = declared(form, 25)
    # As Iter8 turns the path into a JSON pointer.
    pointer = candidate["weightObjRef"]["fieldPath"].replace("[", "/").replace("].", "/").replace(".", "/")
    for step in pointer.strip("/").split("/"):
        node = node[int(step)] if step.isdigit() else node[step]
    assert node == 25


def test_a_query_asks_for_the_labels_that_the_model_server_has() -> None:
    from string import Template

    (counted,) = (each for each in metrics(plan(), "http://p") if each["metadata"]["name"] == "request-count")
    variables = experiment(plan(), Iter8())["spec"]["versionInfo"]["baseline"]["variables"]
    said = {each["name"]: each["value"] for each in variables}
    query = Template(counted["spec"]["params"][0]["value"]).substitute(said, name="v2", elapsedTime="30")
    assert 'model_requests_total{namespace="models",model_name="churn",revision="v2"}[30s]' in query


@pytest.mark.parametrize(
    ("value", "said"), [(0.01, "0.01"), (100, "100"), (0.0, "0"), (1e-9, "0"), (2 / 3, "0.666667")]
)
def test_a_quantity_has_no_exponent_and_no_more_digits_than_it_needs(value: float, said: str) -> None:
    assert quantity(value) == said


@pytest.mark.parametrize("verdict", ["", "promoted", "rolled back", "undecided", "failed"])
def test_every_status_is_valid_for_the_real_crd(verdict: str) -> None:
    for is_finished in {False, bool(verdict)}:
        document = {**experiment(plan(), Iter8()), "status": reported(verdict, is_finished=is_finished)}
        assert complaints(document) == []
        assert embedded_complaints(document) == []


@pytest.mark.parametrize(
    ("verdict", "is_finished", "stage", "undecided", "recommended", "said"),
    [
        ("", False, "Running", True, None, "v1"),
        ("promoted", False, "Finishing", True, None, "v2"),
        ("promoted", True, "Completed", False, "v2", "v2"),
        ("rolled back", True, "Completed", False, "v1", "v1"),
        ("undecided", True, "Completed", False, "", "v1"),
        ("failed", True, "Completed", False, "", "v1"),
    ],
)
def test_an_experiment_is_decided_when_all_is_done_and_recommends_only_what_won(
    verdict: str, is_finished: bool, stage: str, undecided: bool, recommended: str | None, said: str
) -> None:
    written = reported(verdict, is_finished=is_finished)
    document = {**experiment(plan(), Iter8()), "status": written}
    assert (written["stage"], is_undecided(document)) == (stage, undecided)
    assert Experiments.recommendation(Experiments.__new__(Experiments), document) == recommended
    assert written["versionRecommendedForPromotion"] == said


def test_a_value_that_is_missing_is_left_out_and_no_zero() -> None:
    seen = reported()["analysis"]["aggregatedMetrics"]["data"]
    assert seen["error-rate"] == {"data": {"v1": {"value": "0"}, "v2": {}}}


def test_times_are_kept_from_the_status_before() -> None:
    before = reported()
    later = status(plan(), ExperimentSeen(4, 50, before=before), NOW + timedelta(minutes=1))
    assert (later["initTime"], later["startTime"]) == ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z")
    assert later["lastUpdateTime"] == "2026-01-02T03:05:05Z"
    assert {each["lastTransitionTime"] for each in later["conditions"]} == {"2026-01-02T03:04:05Z"}
    ended = ExperimentSeen(4, 100, verdict="promoted", is_finished=True, before=before)
    changed = status(plan(), ended, NOW + timedelta(minutes=1))
    assert {each["type"]: each["lastTransitionTime"] for each in changed["conditions"]}["Completed"][-6:] == "05:05Z"


def test_the_verdict_of_a_real_iter8_is_read() -> None:
    if not EXAMPLE.exists():
        pytest.skip(f"the example of a real Experiment is not here: {EXAMPLE} is absent")
    real = yaml.safe_load(EXAMPLE.read_text())
    client = Experiments.__new__(Experiments)
    assert client.recommendation(real) == "canary"
    real["status"]["conditions"][0]["message"] = "Experiment rolled back"
    assert client.recommendation(real) == real["spec"]["versionInfo"]["baseline"]["name"]
    real["status"]["conditions"][0] |= {"message": "Experiment completed successfully"}
    real["status"]["analysis"]["winnerAssessment"]["data"] = {"winnerFound": False}
    assert client.recommendation(real) == ""


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path / "kube.db", lambda service: {})


@pytest.fixture
def experiments(cluster: Cluster) -> Experiments:
    return Experiments(cluster)  # type: ignore[arg-type]


def documents(name: str = "churn-v2-1") -> list[Document]:
    return [experiment(plan(name=name), Iter8()), *metrics(plan(name=name), "http://prometheus:9090")]


def test_an_experiment_is_made_once_and_after_its_metrics(experiments: Experiments, cluster: Cluster) -> None:
    made = experiments.create(documents())
    assert experiments.create(documents()) == made
    assert cluster.kinds[-1] == "Metric"
    assert cluster.kinds.count("Experiment") == 1
    assert cluster.kinds.index("Experiment") > cluster.kinds.index("Metric")


def test_what_was_saved_is_read_back_and_survives_another_create(experiments: Experiments) -> None:
    experiments.create(documents())
    assert experiments.state(experiments.on("models", "churn")[0]) is None
    experiments.save("churn-v2-1", "models", {"weight": 25})
    experiments.report("churn-v2-1", "models", reported())
    experiments.create(documents())
    (found,) = experiments.on("models", "churn")
    assert experiments.state(found) == {"weight": 25}
    assert found["status"]["completedIterations"] == 3
    assert found["metadata"]["annotations"]["a"] == "b"
    assert not experiments.is_driven_by_another(found)


def test_a_status_replaces_the_one_before(experiments: Experiments) -> None:
    experiments.create(documents())
    full = reported("rolled back", is_finished=True)
    empty = status(plan(), ExperimentSeen(4, 0, values={"error-rate": {"v1": None, "v2": None}}), NOW)
    for written in (full, empty):
        experiments.report("churn-v2-1", "models", written)
        assert experiments.on("models", "churn")[0]["status"] == written


def test_only_experiments_on_the_service_count_and_the_undecided_one_runs(experiments: Experiments) -> None:
    for name in ("churn-v2-1", "churn-v2-2"):
        experiments.create(documents(name))
    other = experiment(plan(name="other"), Iter8())
    other["spec"]["target"] = "models/other"
    experiments.create([other])
    experiments.report("churn-v2-1", "models", reported("promoted", is_finished=True))
    assert [each["metadata"]["name"] for each in experiments.on("models", "churn")] == ["churn-v2-1", "churn-v2-2"]
    running = experiments.running("models", "churn")
    assert running is not None
    assert running["metadata"]["name"] == "churn-v2-2"
    assert experiments.running("models", "nothing") is None


def test_a_controller_that_writes_the_status_is_noticed(experiments: Experiments, cluster: Cluster) -> None:
    experiments.create(documents())
    cluster.merge_patch("Experiment", "churn-v2-1", "models", {"status": reported()}, status=True, manager="etc3")
    (found,) = experiments.on("models", "churn")
    assert experiments.is_driven_by_another(found)


def test_without_iter8_there_are_no_experiments(experiments: Experiments, cluster: Cluster) -> None:
    cluster.others["Experiment"] = NoSuchKind("no Iter8")
    assert experiments.on("models", "churn") == []
    assert experiments.running("models", "churn") is None
