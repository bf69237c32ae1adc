"""The lineage graph around a node, as Marquez walks it: from job to job over the datasets that they share."""

from collections.abc import Iterable
from typing import Any

from embedded.lineage import nodes, shapes
from embedded.lineage.database import Work
from embedded.lineage.queries import latest_runs
from embedded.lineage.shapes import Document, Row

Key = tuple[str, str]


def lineage(work: Work, start: nodes.Node, depth: int) -> Document | None:
    """Jobs up to `depth` shared datasets away, with everything that they read and write; None for an unknown node."""
    jobs = {(row["namespace"], row["name"]): row for row in work.all("SELECT * FROM jobs")}
    first = _first_job(jobs, start)
    if first is None:
        return None
    reached = _around(jobs, first, depth)
    wanted = {key for each in reached for key in _datasets(jobs[each])}
    datasets = [row for row in work.all("SELECT * FROM datasets") if (row["namespace"], row["name"]) in wanted]
    runs = latest_runs(work, 1)
    graph = [_job_node(jobs[key], runs.get(key, [])) for key in reached]
    graph += [_dataset_node(row, [jobs[key] for key in reached]) for row in datasets]
    return {"graph": sorted(graph, key=lambda node: str(node["id"]))}


def everything(work: Work) -> Document:
    """The whole graph, jobs without datasets left out: what the page at / shows."""
    jobs = [row for row in work.all("SELECT * FROM jobs") if row["inputs"] or row["outputs"]]
    runs = latest_runs(work, 1)
    graph = [_job_node(row, runs.get((row["namespace"], row["name"]), [])) for row in jobs]
    wanted = {key for row in jobs for key in _datasets(row)}
    rows = [row for row in work.all("SELECT * FROM datasets") if (row["namespace"], row["name"]) in wanted]
    return {"graph": graph + [_dataset_node(row, jobs) for row in rows]}


def _first_job(jobs: dict[Key, Row], start: nodes.Node) -> Key | None:
    if start.kind == "job":
        return (start.namespace, start.name) if (start.namespace, start.name) in jobs else None
    touching = [key for key, row in jobs.items() if (start.namespace, start.name) in _datasets(row)]
    writing = [key for key in touching if (start.namespace, start.name) in _keys(jobs[key]["outputs"])]
    return next(iter(sorted(writing) or sorted(touching)), None)


def _around(jobs: dict[Key, Row], first: Key, depth: int) -> list[Key]:
    reached, edge = {first}, {first}
    for _ in range(depth):
        shared = {key for each in edge for key in _datasets(jobs[each])}
        edge = {key for key, row in jobs.items() if key not in reached and shared & _datasets(row)}
        if not edge:
            break
        reached |= edge
    return sorted(reached)


def _keys(ids: Iterable[Document]) -> set[Key]:
    return {(each["namespace"], each["name"]) for each in ids}


def _datasets(row: Row) -> set[Key]:
    return _keys(row["inputs"]) | _keys(row["outputs"])


def _job_node(row: Row, runs: list[Document]) -> Document:
    own = nodes.of_job(row["namespace"], row["name"])
    shown = shapes.job(row, runs)
    del shown["latestRuns"]
    return {
        "id": own, "type": "JOB", "data": shown,
        "inEdges": [_edge(nodes.of_dataset(*key), own) for key in sorted(_keys(row["inputs"]))],
        "outEdges": [_edge(own, nodes.of_dataset(*key)) for key in sorted(_keys(row["outputs"]))],
    }  # fmt: skip


def _dataset_node(row: Row, jobs: list[Row]) -> Document:
    key, own = (row["namespace"], row["name"]), nodes.of_dataset(row["namespace"], row["name"])
    writers = [job for job in jobs if key in _keys(job["outputs"])]
    readers = [job for job in jobs if key in _keys(job["inputs"])]
    return {
        "id": own, "type": "DATASET", "data": shapes.dataset(row),
        "inEdges": [_edge(nodes.of_job(job["namespace"], job["name"]), own) for job in writers],
        "outEdges": [_edge(own, nodes.of_job(job["namespace"], job["name"])) for job in readers],
    }  # fmt: skip


def _edge(origin: str, destination: str) -> Document:
    return {"origin": origin, "destination": destination}


def column_lineage(work: Work, start: nodes.Node, depth: int, downstream: bool) -> Document | None:
    """Columns that a column, or every column of a dataset, is made of; and what is made of it, where asked."""
    rows = {(row["namespace"], row["name"]): row for row in work.all("SELECT * FROM datasets")}
    if (start.namespace, start.name) not in rows:
        return None
    made_of = {key: _inputs(row) for key, row in rows.items()}
    own = rows[start.namespace, start.name]["fields"]
    fields = [start.field] if start.field else [field["name"] for field in own]
    reached = {(start.namespace, start.name, field) for field in fields}
    edge = set(reached)
    for _ in range(depth):
        up = {source for key in edge for source in made_of.get(key[:2], {}).get(key[2], ())}
        down = {
            (*key, field) for key, made in made_of.items() for field, sources in made.items()
            if downstream and edge & set(sources)
        }  # fmt: skip
        edge = (up | down) - reached
        reached |= edge
    return {"graph": [_field_node(key, rows, made_of, reached) for key in sorted(reached)]}


def _inputs(row: Row) -> dict[str, list[tuple[str, str, str]]]:
    said = row["facets"].get("columnLineage", {}).get("fields", {})
    return {
        field: [(i["namespace"], i["name"], i["field"]) for i in each["inputFields"]] for field, each in said.items()
    }


def _field_node(
    key: tuple[str, str, str], rows: dict[Key, Row], made_of: dict[Key, Any], reached: set[Any]
) -> Document:
    own = ":".join(("datasetField", *key))
    sources = made_of.get(key[:2], {}).get(key[2], [])
    types = {field["name"]: field["type"] for field in rows.get(key[:2], {"fields": []})["fields"]}
    inputs = [{"namespace": n, "dataset": d, "field": f, "transformations": []} for n, d, f in sources]
    data = {"namespace": key[0], "dataset": key[1], "field": key[2], "fieldType": types.get(key[2]),
            "inputFields": inputs}  # fmt: skip
    readers = [k for k in sorted(reached) if key in made_of.get(k[:2], {}).get(k[2], ())]
    return {
        "id": own, "type": "DATASET_FIELD", "data": data,
        "inEdges": [_edge(":".join(("datasetField", *source)), own) for source in sources if source in reached],
        "outEdges": [_edge(own, ":".join(("datasetField", *reader))) for reader in readers],
    }  # fmt: skip
