"""What OpenLineage events carry beside names: schema, source, version, counts, checks, code, parent, error."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from common.ledger import Event
from common.lineage import DatasetId, Places, dataset_id, source_uri

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset

    from common.lineage_events import Running

Document = dict[str, Any]
ENGINE = "mlops-use-cases"


def of_job(kind: str, said: str) -> Document:
    """Facets of a job: what kind it is, and what it promises."""
    from openlineage.client.facet_v2 import documentation_job, job_type_job

    return {
        "jobType": job_type_job.JobTypeJobFacet("BATCH", "MLOPS", kind),
        "documentation": documentation_job.DocumentationJobFacet(said),
    }


def of_step(body: Mapping[str, Any], code: Mapping[str, str]) -> Document:
    """Facets of a step's job: its promise, and its file at the commit that ran."""
    from openlineage.client.facet_v2 import source_code_location_job

    file, commit, repository = body.get("file", ""), code.get("commit", ""), code.get("repository", "")
    about = of_job("STEP", body.get("promise") or file)
    if file:
        clean = repository.removesuffix(".git")
        web = f"{clean}/blob/{commit.removesuffix('-dirty')}/{file}" if clean.startswith("http") and commit else ""
        about["sourceCodeLocation"] = source_code_location_job.SourceCodeLocationJobFacet(
            "git", web or f"file:{file}", repoUrl=repository or None, path=file, version=commit or None
        )
    return about


def of_run(start: Event, namespace: str, parent: "Running | None", root: "Running | None") -> Document:
    """Facets of a run: when it was meant to be, of which run of the ledger it is, and its parent."""
    from openlineage.client.facet_v2 import nominal_time_run, parent_run, tags_run

    ours = [tags_run.TagsRunFacetFields("run", start.run, "MLOPS"),
            tags_run.TagsRunFacetFields("environment", start.body.get("environment", ""), "MLOPS")]  # fmt: skip
    about: Document = {
        "nominalTime": nominal_time_run.NominalTimeRunFacet(start.at),
        "tags": tags_run.TagsRunFacet(ours),
    }
    if parent:
        top = root or parent
        about["parent"] = parent_run.ParentRunFacet(
            parent_run.Run(parent.run_id), parent_run.Job(namespace, parent.job),
            parent_run.Root(parent_run.RootRun(top.run_id), parent_run.RootJob(namespace, top.job)),
        )  # fmt: skip
    return about


def of_ending(state: str, body: Mapping[str, Any]) -> Document:
    """Facets of a step's end: how it ended, and the sentence that says why where it failed."""
    from openlineage.client.facet_v2 import error_message_run, processing_engine_run

    about: Document = {"processing_engine": processing_engine_run.ProcessingEngineRunFacet("0.1.0", ENGINE)}
    if body.get("cause"):
        message = f"{body['cause']} (exit code {body.get('code')})"
        about["errorMessage"] = error_message_run.ErrorMessageRunFacet(message, "PYTHON")
    elif state == "unchanged":
        about["processing_engine"] = processing_engine_run.ProcessingEngineRunFacet("0.1.0", f"{ENGINE} (unchanged)")
    return about


def inputs(body: Mapping[str, Any], places: Places) -> "list[InputDataset]":
    """What a step read: each dataset once, with counts and checks as facets of this reading."""
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as quality
    from openlineage.client.facet_v2 import input_statistics_input_dataset as statistics

    made = []
    for own, said in _by_id(body.get("reads") or [], places).items():
        about: Document = {}
        rows, checks = _rows(said), [check for each in said for check in each.get("assertions") or []]
        if rows is not None:
            about["inputStatistics"] = statistics.InputStatisticsInputDatasetFacet(rowCount=rows)
        if checks:
            found = [quality.Assertion(c["name"], c["success"], c.get("column") or None, c.get("severity") or None)
                     for c in checks]  # fmt: skip
            about["dataQualityAssertions"] = quality.DataQualityAssertionsDatasetFacet(found)
        made.append(InputDataset(own.namespace, own.name, about, facets=of_dataset(own, said, places)))
    return made


def outputs(body: Mapping[str, Any], places: Places) -> "list[OutputDataset]":
    """What a step wrote: each dataset once, with counts, and columns where it is known what they come from."""
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics

    read = next(iter(_by_id(body.get("reads") or [], places)), None)
    made = []
    for own, said in _by_id(body.get("writes") or [], places).items():
        rows = _rows(said)
        counted = {"outputStatistics": statistics.OutputStatisticsOutputDatasetFacet(rowCount=rows)}
        facets = {**of_dataset(own, said, places), **_columns(said, read)}
        made.append(OutputDataset(own.namespace, own.name, counted if rows is not None else {}, facets=facets))
    return made


def of_dataset(own: DatasetId, said: Sequence[Mapping[str, Any]], places: Places) -> Document:
    """Facets of a dataset itself: its kind, its server, its version, its columns."""
    from openlineage.client.facet_v2 import dataset_type_dataset as kinds
    from openlineage.client.facet_v2 import dataset_version_dataset as versions
    from openlineage.client.facet_v2 import datasource_dataset as sources
    from openlineage.client.facet_v2 import schema_dataset as schemas

    uri = source_uri(own, places)
    about: Document = {
        "dataSource": sources.DatasourceDatasetFacet(own.namespace, uri),
        "datasetType": kinds.DatasetTypeDatasetFacet(str(said[0]["kind"]).upper()),
    }
    if digests := list(dict.fromkeys(each["digest"] for each in said if each.get("digest"))):
        about["version"] = versions.DatasetVersionDatasetFacet(",".join(digests))
    if columns := [column for each in said for column in each.get("columns") or []]:
        about["schema"] = schemas.SchemaDatasetFacet([schemas.SchemaDatasetFacetFields(*c) for c in columns])
    return about


def _columns(said: Sequence[Mapping[str, Any]], read: DatasetId | None) -> Document:
    from openlineage.client.facet_v2 import column_lineage_dataset as lineage

    pairs = [pair for each in said for pair in each.get("columns_from") or []]
    if read is None or not pairs:
        return {}
    made: dict[str, Any] = {}
    for column, source in pairs:
        field = made.setdefault(column, lineage.Fields([]))
        field.inputFields.append(lineage.InputField(read.namespace, read.name, source))
    return {"columnLineage": lineage.ColumnLineageDatasetFacet(made)}


def _by_id(datasets: Sequence[Mapping[str, Any]], places: Places) -> dict[DatasetId, list[Mapping[str, Any]]]:
    """Datasets by what they are called: two versions of a model that one step wrote are one dataset."""
    found: dict[DatasetId, list[Mapping[str, Any]]] = {}
    for each in datasets:
        found.setdefault(dataset_id(each["kind"], each["name"], places), []).append(each)
    return found


def _rows(said: Sequence[Mapping[str, Any]]) -> int | None:
    return next((each["rows"] for each in said if each.get("rows") is not None), None)
