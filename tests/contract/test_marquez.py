"""What we, and the main pages of Marquez's UI, ask of Marquez: the same of the embedded server and of a real one.

With MLOPS_TEST_MARQUEZ_URL a real Marquez is asked too, in a namespace of the tests' own.
"""

import os
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
import requests
import yaml

from common.paths import ROOT
from tests.conftest import EmbeddedPlatform

Document = dict[str, Any]
REAL = os.environ.get("MLOPS_TEST_MARQUEZ_URL", "")
SPEC = ROOT.parent / "shared" / "crds" / "marquez-openapi.yml"
PRODUCER = "urn:contract-test"
SCHEMA = "https://openlineage.io/spec/facets/1-1-1/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet"


@dataclass
class Server:
    """A server, and a namespace and datasets that nobody else has."""

    url: str
    space: str = field(default_factory=lambda: f"contract-{uuid.uuid4().hex[:8]}")

    @property
    def place(self) -> str:
        """A namespace of datasets, a URI with a port."""
        return f"postgres://{self.space}:5432"

    def get(self, path: str, status: int = 200, **query: Any) -> Any:
        answer = requests.get(f"{self.url}/api/v1{path}", params=query, timeout=10)
        assert answer.status_code == status, answer.text[:500]
        return answer.json()

    def post(self, event: Any, **more: Any) -> requests.Response:
        return requests.post(f"{self.url}/api/v1/lineage", json=event, timeout=10, **more)

    def dataset(self, name: str, *columns: str) -> Document:
        facet = {
            "_producer": PRODUCER,
            "_schemaURL": SCHEMA,
            "fields": [{"name": c, "type": "INTEGER"} for c in columns],
        }
        return {"namespace": self.place, "name": name, "facets": {"schema": facet} if columns else {}}

    def event(self, kind: str, job: str, run: str, at: datetime, **sides: list[Document]) -> Document:
        return {
            "eventType": kind, "eventTime": at.isoformat().replace("+00:00", "Z"), "producer": PRODUCER,
            "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
            "run": {"runId": run, "facets": {}}, "job": {"namespace": self.space, "name": job, "facets": {}},
            "inputs": [], "outputs": [], **sides,
        }  # fmt: skip

    def ran(self, job: str, kind: str = "COMPLETE", at: datetime | None = None, **sides: list[Document]) -> str:
        """Tell the server of a run, from start to end; returns its id."""
        run, at = str(uuid.uuid4()), at or datetime.now(UTC)
        assert self.post(self.event("START", job, run, at)).status_code == 201
        ended = self.event(kind, job, run, at + timedelta(seconds=2), **sides)
        assert self.post(ended).status_code == 201
        return run

    @property
    def jobs(self) -> str:
        return f"/namespaces/{quote(self.space, safe='')}/jobs"

    @property
    def datasets(self) -> str:
        return f"/namespaces/{quote(self.place, safe='')}/datasets"


@pytest.fixture(scope="module", params=["embedded", pytest.param("real", marks=pytest.mark.skipif(
    not REAL, reason="MLOPS_TEST_MARQUEZ_URL names no Marquez"))])  # fmt: skip
def server(request: pytest.FixtureRequest) -> Server:
    """A server on which two jobs have run: customers -> load -> clean -> train -> model."""
    if request.param == "real":
        made = Server(REAL.rstrip("/"))
    else:
        platform: EmbeddedPlatform = request.getfixturevalue("platform")
        made = Server(platform.addresses()["marquez"]["url"])
    table, clean = made.dataset("db.public.customers", "id", "age"), made.dataset("db.public.clean", "id")
    made.ran("etl.load", inputs=[table], outputs=[clean])
    made.ran("ml.train", inputs=[clean], outputs=[made.dataset("models/churn")])
    return made


def test_an_event_is_answered_201_without_a_body(server: Server) -> None:
    answer = server.post(server.event("START", "etl.once", str(uuid.uuid4()), datetime.now(UTC)))
    assert (answer.status_code, answer.content) == (201, b"")


@pytest.mark.parametrize("path", ["eventTime", "producer", "run", "job"])
def test_an_event_without_a_required_part_is_refused_as_invalid(server: Server, path: str) -> None:
    event = server.event("START", "etl.bad", str(uuid.uuid4()), datetime.now(UTC))
    answer = server.post({**event, path: None})
    assert answer.status_code == 422
    assert answer.json()["errors"]


def test_what_is_no_json_is_refused(server: Server) -> None:
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{server.url}/api/v1/lineage", data="{", headers=headers, timeout=10)
    assert answer.status_code == 400


def test_the_namespaces_of_jobs_and_of_datasets_are_listed(server: Server) -> None:
    names = {each["name"] for each in server.get("/namespaces", limit=10000)["namespaces"]}
    assert {server.space, server.place} <= names
    assert server.get(f"/namespaces/{quote(server.place, safe='')}")["name"] == server.place


def test_a_namespace_is_made_by_put(server: Server) -> None:
    name = f"{server.space}-put"
    made = requests.put(f"{server.url}/api/v1/namespaces/{name}", json={"ownerName": "us"}, timeout=10)
    assert (made.status_code, made.json()["name"], made.json()["ownerName"]) == (200, name, "us")


def test_a_job_knows_what_it_reads_and_writes_and_its_latest_run(server: Server) -> None:
    job = server.get(f"{server.jobs}/etl.load")
    assert job["id"] == {"namespace": server.space, "name": "etl.load"}
    assert job["inputs"] == [{"namespace": server.place, "name": "db.public.customers"}]
    assert job["outputs"] == [{"namespace": server.place, "name": "db.public.clean"}]
    assert (job["latestRun"]["state"], job["latestRun"]["durationMs"]) == ("COMPLETED", 2000)
    assert job["type"] == "BATCH"


def test_lists_are_paged_and_say_how_many_there_are(server: Server) -> None:
    first, second = (server.get(server.jobs, limit=1, offset=offset) for offset in (0, 1))
    assert len(first["jobs"]) == len(second["jobs"]) == 1
    assert first["jobs"][0]["name"] != second["jobs"][0]["name"]
    assert first["totalCount"] == second["totalCount"] >= 2
    assert server.get(server.jobs, limit=100, offset=1000)["jobs"] == []


def test_a_dataset_is_found_under_its_encoded_name_with_its_columns(server: Server) -> None:
    found = server.get(f"{server.datasets}/{quote('db.public.customers', safe='')}")
    assert [each["name"] for each in found["fields"]] == ["id", "age"]
    assert (found["namespace"], found["name"], found["type"]) == (server.place, "db.public.customers", "DB_TABLE")
    assert server.get(f"{server.datasets}/{quote('models/churn', safe='')}")["name"] == "models/churn"


def test_a_dataset_has_a_version_for_each_run_that_wrote_it(server: Server) -> None:
    run = server.ran("etl.load", inputs=[server.dataset("db.public.customers", "id", "age")],
                     outputs=[server.dataset("db.public.clean", "id")])  # fmt: skip
    versions = server.get(f"{server.datasets}/{quote('db.public.clean', safe='')}/versions")["versions"]
    assert len(versions) >= 2
    assert versions[0]["createdByRun"]["id"] == run


@pytest.mark.parametrize(("kind", "state"), [("COMPLETE", "COMPLETED"), ("FAIL", "FAILED"), ("ABORT", "ABORTED")])
def test_a_run_ends_in_the_state_that_its_last_event_says(server: Server, kind: str, state: str) -> None:
    run = server.ran(f"etl.{kind.lower()}", kind)
    assert server.get(f"/jobs/runs/{run}")["state"] == state
    runs = server.get(f"{server.jobs}/etl.{kind.lower()}/runs")["runs"]
    assert [(each["id"], each["state"]) for each in runs] == [(run, state)]


def test_a_run_that_failed_changes_nothing_of_what_its_job_reads_and_writes(server: Server) -> None:
    server.ran("etl.keep", outputs=[server.dataset("db.public.kept")])
    server.ran("etl.keep", "FAIL", at=datetime.now(UTC) + timedelta(seconds=5))
    outputs = server.get(f"{server.jobs}/etl.keep")["outputs"]
    assert outputs == [{"namespace": server.place, "name": "db.public.kept"}]


def test_the_facets_of_a_run_are_kept(server: Server) -> None:
    run, at = str(uuid.uuid4()), datetime.now(UTC)
    event = server.event("FAIL", "etl.error", run, at)
    schema = "https://openlineage.io/spec/facets/1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet"
    facet = {"_producer": PRODUCER, "_schemaURL": schema, "message": "it broke", "programmingLanguage": "PYTHON"}
    event["run"]["facets"] = {"errorMessage": facet}
    server.post(event)
    facets = server.get(f"/jobs/runs/{run}/facets", type="run")["facets"]
    assert facets["errorMessage"]["message"] == "it broke"


def test_a_job_with_a_parent_is_named_once_and_knows_its_short_name(server: Server) -> None:
    run, parent = str(uuid.uuid4()), str(uuid.uuid4())
    event = server.event("START", "pipe.pipe_01_do", run, datetime.now(UTC))
    schema = "https://openlineage.io/spec/facets/1-1-0/ParentRunFacet.json#/$defs/ParentRunFacet"
    event["run"]["facets"] = {"parent": {
        "_producer": PRODUCER, "_schemaURL": schema, "run": {"runId": parent},
        "job": {"namespace": server.space, "name": "pipe"},
    }}  # fmt: skip
    server.post(event)
    job = server.get(f"{server.jobs}/pipe.pipe_01_do")
    assert (job["simpleName"], job["parentJobName"]) == ("pipe_01_do", "pipe")


def test_lineage_goes_around_a_dataset_in_both_directions(server: Server) -> None:
    node = f"dataset:{server.place}:db.public.clean"
    graph = {each["id"]: each for each in server.get("/lineage", nodeId=node, depth=20)["graph"]}
    assert set(graph) == {
        f"dataset:{server.place}:db.public.customers", f"job:{server.space}:etl.load", node,
        f"job:{server.space}:ml.train", f"dataset:{server.place}:models/churn",
    }  # fmt: skip
    assert graph[node]["type"] == "DATASET"
    assert graph[node]["inEdges"] == [{"origin": f"job:{server.space}:etl.load", "destination": node}]
    assert graph[node]["outEdges"] == [{"origin": node, "destination": f"job:{server.space}:ml.train"}]


def test_depth_zero_is_one_job_with_what_it_reads_and_writes(server: Server) -> None:
    graph = server.get("/lineage", nodeId=f"job:{server.space}:etl.load", depth=0)["graph"]
    assert [each["id"] for each in graph if each["type"] == "JOB"] == [f"job:{server.space}:etl.load"]
    assert sum(each["type"] == "DATASET" for each in graph) == 2


def test_lineage_of_an_unknown_node_is_not_found(server: Server) -> None:
    server.get("/lineage", 404, nodeId=f"dataset:{server.place}:nobody")


def test_an_unknown_namespace_job_or_dataset_is_not_found(server: Server) -> None:
    for path in ("/namespaces/nobody/jobs", f"{server.jobs}/nobody", f"{server.datasets}/nobody"):
        server.get(path, 404)
    server.get(f"/jobs/runs/{uuid.uuid4()}", 404)


def test_search_finds_datasets_and_jobs_by_a_part_of_their_name_in_any_case(server: Server) -> None:
    found = [each for each in server.get("/search", q="CUSTOMERS", limit=1000)["results"]
             if each["namespace"] == server.place]  # fmt: skip
    assert [(each["type"], each["nodeId"]) for each in found] == [
        ("DATASET", f"dataset:{server.place}:db.public.customers")
    ]
    jobs = server.get("/search", q="etl.load", filter="JOB", limit=1000)["results"]
    assert {each["type"] for each in jobs} == {"JOB"}


def test_events_of_a_span_of_time_come_back_as_they_were_sent(server: Server) -> None:
    at = datetime(2031, 5, 17, 3, 4, 5, 678901, tzinfo=UTC) + timedelta(seconds=uuid.uuid4().int % 10**6)
    run = server.ran("etl.then", at=at)
    span = {"after": _z(at - timedelta(milliseconds=1)), "before": _z(at + timedelta(milliseconds=1))}
    answer = server.get("/events/lineage", limit=10, **span)
    (event,) = [each for each in answer["events"] if each["run"]["runId"] == run]
    assert (event["eventType"], event["job"]["name"], event["producer"]) == ("START", "etl.then", PRODUCER)
    assert answer["totalCount"] >= 1


def test_columns_are_followed_to_what_they_are_made_of(server: Server) -> None:
    table, made = server.dataset("db.public.source", "a"), server.dataset("db.public.target", "b")
    schema = "https://openlineage.io/spec/facets/1-2-0/ColumnLineageDatasetFacet.json#/$defs/ColumnLineageDatasetFacet"
    field = {"namespace": server.place, "name": "db.public.source", "field": "a"}
    made["facets"]["columnLineage"] = {
        "_producer": PRODUCER, "_schemaURL": schema, "fields": {"b": {"inputFields": [field]}},
    }  # fmt: skip
    server.ran("etl.columns", inputs=[table], outputs=[made])
    node = f"datasetField:{server.place}:db.public.target:b"
    graph = server.get("/column-lineage", nodeId=node)["graph"]
    (target,) = [each for each in graph if each["id"] == node]
    assert [(each["dataset"], each["field"]) for each in target["data"]["inputFields"]] == [("db.public.source", "a")]


def test_tags_and_sources_have_lists(server: Server) -> None:
    assert isinstance(server.get("/tags")["tags"], list)
    assert isinstance(server.get("/sources", limit=1)["sources"], list)


# Against the published description of the API


@pytest.fixture(scope="module")
def spec() -> Document:
    if not SPEC.exists():
        pytest.skip(f"Marquez's OpenAPI document is not beside the clone ({SPEC.name})")
    read: Document = yaml.safe_load(SPEC.read_text())
    return read


def _known(spec: Document, name: str) -> set[str]:
    shape = spec["components"]["schemas"][name]
    parts = [shape, *shape.get("anyOf", [])]
    named = [_known(spec, part["$ref"].rsplit("/", 1)[-1]) for part in parts if "$ref" in part]
    return {key for part in parts for key in part.get("properties", {})}.union(*named)


@pytest.mark.parametrize(("schema", "path"), [
    ("Namespace", "/namespaces/{space}"), ("Job", "{jobs}/etl.load"), ("Dataset", "{datasets}/db.public.clean"),
    ("JobList", "{jobs}"), ("DatasetList", "{datasets}"), ("LineageGraph", "/lineage?nodeId=job:{space}:etl.load"),
    ("SearchResultList", "/search?q=clean"), ("LineageEventList", "/events/lineage?limit=1"),
])  # fmt: skip
def test_an_answer_has_every_key_that_the_description_names(
    server: Server, spec: Document, schema: str, path: str
) -> None:
    filled = path.format(space=server.space, jobs=server.jobs, datasets=server.datasets)
    missing = _known(spec, schema) - set(server.get(filled))
    assert missing - {"latestRuns", "parentJobUuid"} == set()


def test_every_path_that_we_ask_is_in_the_description(spec: Document) -> None:
    asked = {"/lineage", "/search", "/events/lineage", "/namespaces", "/namespaces/{namespace}"}
    assert asked <= set(spec["paths"])


def _z(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
