"""The ledger as OpenLineage events: parents, endings, names, and that a cursor is enough."""

import uuid
from datetime import datetime
from pathlib import Path

import pytest

from common.lineage import dataset_id
from common.lineage_events import PRODUCER, Due
from common.step import Assertion, Dataset
from tests.uc4.story import PLACES, Moved, Story, moved, said

CUSTOMERS = Dataset(kind="table", name="customers", rows=7, columns=(("id", "int64"),))
SNAPSHOT = Dataset(kind="object", name="s3://mlops/raw/customers", digest="d1", rows=7, columns_from=(("id", "id"),))
CHECKED = SNAPSHOT.model_copy(update={"assertions": (Assertion(name="is unique", success=True, column="id"),)})


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


def find(due: list[Due], kind: str, job: str) -> Due:
    return next(each for each in due if (each.kind, each.job) == (kind, job))


def test_a_pipeline_is_the_parent_of_its_steps_and_the_whole_run_is_the_root(story: Story) -> None:
    due = story.begin("uc1", "uc2").step("uc1_01_read").step("uc2_01_try").end().told()
    assert said(due) == [
        "START run_all", "START uc1", "START uc1.uc1_01_read", "COMPLETE uc1.uc1_01_read", "COMPLETE uc1",
        "START uc2", "START uc2.uc2_01_try", "COMPLETE uc2.uc2_01_try", "COMPLETE uc2", "COMPLETE run_all",
    ]  # fmt: skip
    parent = find(due, "START", "uc2.uc2_01_try").event["run"]["facets"]["parent"]
    assert parent["job"]["name"] == "uc2"
    assert parent["run"]["runId"] == find(due, "START", "uc2").run_id
    assert parent["root"]["run"]["runId"] == find(due, "START", "run_all").run_id


def test_run_ids_are_uuids_that_stay_the_same_and_no_two_runs_share_one(story: Story) -> None:
    first = story.begin("uc1").step("uc1_01_read").end().told()
    assert [due.event for due in story.told()] == [due.event for due in first]
    assert all(uuid.UUID(due.run_id) for due in first)
    second = story.begin("uc1").step("uc1_01_read").end().told()
    assert {due.run_id for due in first}.isdisjoint({due.run_id for due in second})


def test_times_are_aware_utc_and_every_facet_names_us_as_its_producer(story: Story) -> None:
    for due in story.begin("uc1").step("uc1_01_read", result=moved(CUSTOMERS, SNAPSHOT)).end().told():
        offset = datetime.fromisoformat(due.event["eventTime"]).utcoffset()
        assert offset is not None
        assert offset.total_seconds() == 0
        assert due.event["producer"] == PRODUCER
        assert "OpenLineage/tree" not in str(due.event)


def test_what_a_longer_ledger_says_begins_with_what_a_shorter_one_said(story: Story) -> None:
    story.begin("uc1", "uc2").step("uc1_01_read", result=moved(CUSTOMERS, SNAPSHOT)).ended("uc1_02_keep", "unchanged")
    story.step("uc1_03_fail", "failed", cause="It broke.", code=1).step("uc2_01_try").step("uc2_01_try").end("failed")
    events, whole = story.events(), [(due.seq, due.number, due.event) for due in story.told()]
    from common.lineage_events import events_of

    for length in range(len(events) + 1):
        part = [(due.seq, due.number, due.event) for due in events_of(events[:length], {})]
        assert part == whole[: len(part)]
    assert len({(seq, number) for seq, number, _ in whole}) == len(whole)


def test_a_failed_step_says_why_and_its_pipeline_fails_with_it(story: Story) -> None:
    due = story.begin("uc1").step("uc1_01_read", "failed", cause="Table x is empty.", code=65).end("failed").told()
    message = find(due, "FAIL", "uc1.uc1_01_read").event["run"]["facets"]["errorMessage"]["message"]
    assert message == "Table x is empty. (exit code 65)"
    assert said(due)[-1] == "FAIL uc1"


def test_a_step_that_failed_before_it_began_is_told_all_the_same(story: Story) -> None:
    due = story.begin("uc1").ended("uc1_02_keep", "failed", cause="It needs RawCustomers.", code=2).end("failed").told()
    assert said(due) == ["START uc1", "START uc1.uc1_02_keep", "FAIL uc1.uc1_02_keep", "FAIL uc1"]


def test_a_run_that_was_killed_is_aborted_with_everything_that_was_open(story: Story) -> None:
    due = story.begin("uc1", "uc2").started("uc1_01_read").end("interrupted").told()
    assert said(due)[-3:] == ["ABORT uc1.uc1_01_read", "ABORT uc1", "ABORT run_all"]


def test_a_step_that_did_not_run_tells_nothing(story: Story) -> None:
    due = story.begin("uc1").ended("uc1_01_read", "unchanged", moved(CUSTOMERS, SNAPSHOT)).end().told()
    assert said(due) == ["START uc1", "COMPLETE uc1"]


def test_a_step_that_found_nothing_to_do_keeps_its_place_in_the_graph(story: Story) -> None:
    before = {"uc2_01_try": {"reads": [], "writes": [SNAPSHOT.model_dump(mode="json")]}}
    due = story.begin("uc2").step("uc2_01_try", "unchanged").end().told(before)
    written = find(due, "COMPLETE", "uc2.uc2_01_try").event["outputs"]
    assert [each["name"] for each in written] == ["raw/customers"]


def test_a_step_that_looked_and_found_nothing_leaves_what_was_found_last(story: Story) -> None:
    before = {"uc3_01_look": {"reads": [CUSTOMERS.model_dump(mode="json")], "writes": []}}
    due = story.begin("uc3").step("uc3_01_look", "unchanged", result=moved(SNAPSHOT, SNAPSHOT)).end().told(before)
    event = find(due, "COMPLETE", "uc3.uc3_01_look").event
    assert [each["name"] for each in event["inputs"]] == ["mlops.public.customers"]
    assert not event["outputs"]


def test_a_pipeline_that_runs_twice_in_one_run_is_two_runs(story: Story) -> None:
    due = story.begin("uc2", "uc3").step("uc2_01_try").step("uc2_02_look").step("uc3_01_look").step("uc2_01_try")
    told = due.end().told()
    assert said(told).count("START uc2") == said(told).count("COMPLETE uc2") == 2
    runs = [each.run_id for each in told if each.job == "uc2.uc2_01_try" and each.kind == "START"]
    assert len(set(runs)) == 2


def test_datasets_carry_schema_source_version_counts_and_checks(story: Story) -> None:
    due = story.begin("uc1").step("uc1_01_read", result=moved(CUSTOMERS, SNAPSHOT)).end().told()
    event = find(due, "COMPLETE", "uc1.uc1_01_read").event
    (read,), (written,) = event["inputs"], event["outputs"]
    assert (read["namespace"], read["name"]) == ("postgres://db.example.com:5432", "mlops.public.customers")
    assert read["inputFacets"]["inputStatistics"]["rowCount"] == 7
    assert [f["name"] for f in read["facets"]["schema"]["fields"]] == ["id"]
    assert (written["namespace"], written["name"]) == ("s3://mlops", "raw/customers")
    assert written["facets"]["version"]["datasetVersion"] == "d1"
    assert written["facets"]["dataSource"]["uri"] == "http://minio.example.com:9000"
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == 7
    source = written["facets"]["columnLineage"]["fields"]["id"]["inputFields"]
    assert source == [{"namespace": read["namespace"], "name": read["name"], "field": "id", "transformations": []}]


def test_what_was_expected_of_a_dataset_is_said_where_it_was_read(story: Story) -> None:
    due = story.begin("uc1").step("uc1_03_check", result=moved(CHECKED)).end().told()
    (read,) = find(due, "COMPLETE", "uc1.uc1_03_check").event["inputs"]
    (held,) = read["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert (held["assertion"], held["success"], held["column"]) == ("is unique", True, "id")


def test_two_versions_of_a_model_are_one_dataset(story: Story) -> None:
    models = tuple(Dataset(kind="model", name="churn", digest=digest) for digest in ("a", "b"))
    due = story.begin("uc1").step("uc1_05_train", result=Moved(wrote=models)).end().told()
    (written,) = find(due, "COMPLETE", "uc1.uc1_05_train").event["outputs"]
    assert written["facets"]["version"]["datasetVersion"] == "a,b"


def test_a_step_names_its_file_at_the_commit_that_ran(story: Story) -> None:
    due = story.begin("uc1").step("uc1_01_read").end().told()
    where = find(due, "START", "uc1.uc1_01_read").event["job"]["facets"]["sourceCodeLocation"]
    assert where["url"] == f"https://git.example.com/team/mlops/blob/{'0' * 40}/uc1_x/uc1_01_read.py"
    assert where["version"] == "0" * 40


@pytest.mark.parametrize(
    ("kind", "name", "namespace", "path"),
    [
        ("table", "crm.people", "postgres://db.example.com:5432", "mlops.crm.people"),
        ("object", "s3://other/a/b", "s3://other", "a/b"),
        ("object", "reports/x", "s3://mlops", "reports/x"),
        ("feature_view", "churn-features", "feast://churn", "churn-features"),
        ("data_repository", "raw/customers.parquet", "git://git.example.com/data", "raw/customers.parquet"),
        ("model", "churn", "mlflow://mlflow.example.com", "churn"),
        ("service", "models/churn", "kserve://cluster", "models/churn"),
    ],
)
def test_names_follow_the_naming_of_openlineage(kind: str, name: str, namespace: str, path: str) -> None:
    assert dataset_id(kind, name, PLACES) == (namespace, path)
