"""From `customers` to the service, in words: the chain that UC1's and UC2's own results make."""

import uuid
from collections.abc import Iterator

import pytest

from common.errors import UsageError
from common.lineage_graph import Graph, graph_of
from common.lineage_relay import deliver
from tests.conftest import EmbeddedPlatform
from tests.uc4.story import PLACES, Story
from tests.uc4.test_relay import client
from uc1_churn_prediction.results import (
    Check,
    Column,
    CustomerFeatures,
    ModelVersion,
    RawCustomers,
    ServedModel,
    TrainedModels,
    ValidCustomers,
)
from uc2_ab_testing.results import CanaryDeployment, CanaryVerdict, ExperimentRun, ServedVersion
from uc4_data_lineage import impact
from uc4_data_lineage.focus import chosen
from uc4_data_lineage.results import Versions

VERSIONS = (Versions(model="churn", alive=(("3", "champion"), ("4", "proposed")), others=2),)


def results(snapshot: str) -> dict[str, object]:
    """What the steps of UC1 and UC2 return, as small as they may be."""
    raw = RawCustomers(
        table="customers", uri=f"s3://{snapshot}/raw/customers/d1.parquet", digest="d1", sha256="s", rows=7,
        size_bytes=1, columns=(Column(name="id", type="int64"),), entity="id", label="churned", event_time=None,
    )  # fmt: skip
    model = ModelVersion(version="3", algorithm="a", state="champion", digest="m3", uri="u", run_id="r",
                         metrics={}, gate="passed")  # fmt: skip
    canary = CanaryDeployment(model_name="churn", namespace="models",
                              champion=ServedVersion(version="3", digest="m3", uri="u"),
                              candidate=ServedVersion(version="4", digest="m4", uri="u"))  # fmt: skip
    held = Check(name="is unique", column="id", severity="critical", success=True, unexpected=0)
    return {
        "uc1_01_read": raw,
        "uc1_03_check": ValidCustomers(raw=raw, checks=(held,), data_docs=f"s3://{snapshot}/data-docs/x1/index.html"),
        "uc1_04_features": CustomerFeatures(raw=raw, uri="s3://b/f", digest="f1", view="churn-features", service="s",
                                            rows=7, numeric=("id",), categorical=(), online_rows=7),
        "uc1_05_train": TrainedModels(model_name="churn", features_digest="f1", versions=(model,), champion="3",
                                      pipeline_uri="p", pipeline_run="p", snapshot=raw.uri),
        "uc1_06_serve": ServedModel(model_name="churn", namespace="models", version="3", digest="m3", uri="u",
                                    url="http://x", runtime="r", golden_rows=1, max_difference=0),
        "uc2_01_deploy": canary,
        "uc2_03_watch": CanaryVerdict(experiment=ExperimentRun(canary=canary, name="e"), verdict="promoted"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def known(platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """The graph around `customers`, as the server answers it after UC1 and UC2."""
    own = uuid.uuid4().hex[:8]
    story, url = Story(tmp_path_factory.mktemp("impact"), f"impact-{own}"), platform.addresses()["marquez"]["url"]
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("table", "feature_view", "model", "service"):
            patch.setitem(PLACES, kind, f"{PLACES[kind].split(':')[0]}://{own}")
        story.begin("uc1", "uc2")
        for step, result in results(f"bucket-{own}").items():
            story.step(step, result=result)  # type: ignore[arg-type]
        story.end()
    done = deliver(story.ledger, client(url))
    assert (done.problem, done.dead) == ("", 0)
    yield graph_of(client(url).graph(f"dataset:postgres://{own}:mlops.public.customers", 20))
    story.ledger.close()


def find(graph: Graph, kind: str, name: str) -> str:
    return next(each.id for each in graph.nodes.values() if (each.kind, each.name) == (kind, name))


def test_from_customers_the_way_to_the_service_is_complete(known: Graph) -> None:
    customers = find(known, "table", "mlops.public.customers")
    reached = {(known.nodes[each].kind, known.nodes[each].name) for each in known.reach(customers, "down")}
    assert {("feature_view", "churn-features"), ("model", "churn"), ("service", "models/churn")} <= reached
    assert {name for kind, name in reached if kind == "job"} >= {"uc1.uc1_05_train", "uc2.uc2_03_watch"}


def test_impact_is_a_sentence_that_names_features_models_and_services(known: Graph) -> None:
    customers = find(known, "table", "mlops.public.customers")
    assert impact.sentence(known, customers, "both", VERSIONS) == (
        "If customers changes: feature view churn-features, model churn v3 (champion), v4, 2 that are no longer used, "
        "service models/churn."
    )


def test_what_a_model_is_made_from_goes_back_to_the_table(known: Graph) -> None:
    said = impact.sentence(known, find(known, "model", "churn"), "up", VERSIONS)
    assert said == "churn is made from: table customers, objects raw/customers, feature view churn-features."


def test_the_text_shows_the_stream_as_a_tree_and_what_runs_again(known: Graph) -> None:
    text = impact.text(known, find(known, "table", "mlops.public.customers"), "down", VERSIONS)
    assert "uc1 steps 01, 03, 04, 05, 06; uc2 steps 01, 03" in text
    assert "└─ uc1_01_read" in text
    assert "models/churn (service) (above)" in text


def test_a_dataset_shows_its_rows_its_columns_and_what_was_expected_of_it(known: Graph) -> None:
    snapshot = known.nodes[find(known, "object", "raw/customers")]
    assert dict(snapshot.facts)["rows"] == "7 rows"
    assert snapshot.columns == (("id", "int64"),)
    assert snapshot.checks == (("id: is unique", "holds"),)
    assert snapshot.version == "d1"


FOUND = [
    {"nodeId": f"dataset:{space}:{name}", "name": name, "namespace": space}
    for space, name in (
        ("postgres://h:5432", "mlops.public.customers"), ("s3://mlops", "raw/customers"), ("mlflow://h", "churn"),
        ("kserve://h", "models/churn"), ("kserve://h", "models-production/churn"), ("s3://mlops", "a/report"),
        ("s3://mlops", "b/report"),
    )
]  # fmt: skip


@pytest.mark.parametrize(("text", "node"), [
    ("customers", "dataset:postgres://h:5432:mlops.public.customers"),
    ("raw/customers", "dataset:s3://mlops:raw/customers"),
    ("churn", "dataset:mlflow://h:churn"),
    ("models/churn", "dataset:kserve://h:models/churn"),
    ("dataset:s3://mlops:a/report", "dataset:s3://mlops:a/report"),
])  # fmt: skip
def test_a_name_or_the_end_of_it_is_enough(text: str, node: str) -> None:
    assert chosen(text, FOUND) == node


def test_what_others_told_the_same_server_is_not_meant() -> None:
    theirs = [{**FOUND[0], "nodeId": "dataset:postgres://a:mlops.public.customers", "namespace": "postgres://a"}]
    assert chosen("customers", [*theirs, *FOUND], {"postgres://h:5432"}) == FOUND[0]["nodeId"]


def test_a_name_that_may_be_two_things_is_refused_and_both_are_named() -> None:
    with pytest.raises(UsageError, match=r"a/report or dataset:s3://mlops:b/report"):
        chosen("report", FOUND)


def test_an_unknown_name_is_refused_with_what_is_near() -> None:
    with pytest.raises(UsageError, match="called custmers") as refused:
        chosen("custmers", FOUND)
    assert {"mlops.public.customers", "raw/customers"} <= set(
        refused.value.hint.removeprefix("Near it: ").rstrip(".").split(", ")
    )
