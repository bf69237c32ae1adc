"""Stores events: as they came, and what they say about jobs, runs and datasets.

An event that comes twice is stored twice, as by Marquez: it is for the sender to look first. What a job reads and
writes changes when a run of it completes.
"""

import json
import uuid
from datetime import datetime
from typing import Any

from embedded.lineage.database import WRITERS, Database, Work
from embedded.lineage.events import DONE, Document, Happened

PLACE = uuid.UUID("6ba7b814-9dad-11d1-80b4-00c04fd430c8")


def store(database: Database, event: Happened) -> None:
    """Store one event in one transaction."""
    with database.transaction() as work:
        work.run(f"SELECT pg_advisory_xact_lock({WRITERS})")
        work.run(
            "INSERT INTO lineage_events (event_time, event_type, run_id, job_namespace, job_name, event)"
            " VALUES (%(at)s, %(kind)s, %(run)s, %(namespace)s, %(job)s, %(event)s)",
            at=event.at, kind=event.kind, run=event.run, namespace=event.namespace, job=event.job,
            event=event.document,
        )  # fmt: skip
        if event.parent:
            _see_parent(work, event)
        _see_job(work, event)
        sides = {side: [_see_dataset(work, event, each, side) for each in event.datasets(side)]
                 for side in ("inputs", "outputs")}  # fmt: skip
        _see_run(work, event, sides)
        if event.state == "COMPLETED":
            _see_version(work, event, sides)


def _see_parent(work: Work, event: Happened) -> None:
    assert event.parent
    namespace, name, run = event.parent
    _see_namespace(work, namespace, event.at)
    work.run(
        "INSERT INTO jobs (namespace, name, simple_name, created_at, updated_at)"
        " VALUES (%(namespace)s, %(name)s, %(name)s, %(at)s, %(at)s) ON CONFLICT DO NOTHING",
        namespace=namespace, name=name, at=event.at,
    )  # fmt: skip
    work.run(
        "INSERT INTO runs (id, namespace, job_name, state, created_at, updated_at)"
        " VALUES (%(run)s, %(namespace)s, %(name)s, 'RUNNING', %(at)s, %(at)s) ON CONFLICT DO NOTHING",
        run=run, namespace=namespace, name=name, at=event.at,
    )  # fmt: skip


def _see_namespace(work: Work, name: str, at: datetime) -> None:
    work.run(
        "INSERT INTO namespaces (name, created_at, updated_at) VALUES (%(name)s, %(at)s, %(at)s)"
        " ON CONFLICT (name) DO UPDATE SET updated_at = greatest(namespaces.updated_at, excluded.updated_at)",
        name=name, at=at,
    )  # fmt: skip


def _see_job(work: Work, event: Happened) -> None:
    _see_namespace(work, event.namespace, event.at)
    facets = event.job_facets
    work.run(
        "INSERT INTO jobs (namespace, name, simple_name, parent_name, description, location, facets, created_at,"
        " updated_at) VALUES (%(namespace)s, %(name)s, %(simple)s, %(parent)s, %(said)s, %(location)s, %(facets)s,"
        " %(at)s, %(at)s) ON CONFLICT (namespace, name) DO UPDATE SET updated_at = excluded.updated_at,"
        " parent_name = coalesce(excluded.parent_name, jobs.parent_name), facets = jobs.facets || excluded.facets,"
        " description = coalesce(excluded.description, jobs.description),"
        " location = coalesce(excluded.location, jobs.location)",
        namespace=event.namespace, name=event.job, simple=event.simple, at=event.at, facets=facets,
        parent=event.parent[1] if event.parent else None, said=facets.get("documentation", {}).get("description"),
        location=facets.get("sourceCodeLocation", {}).get("url"),
    )  # fmt: skip


def _see_run(work: Work, event: Happened, sides: dict[str, list[Document]]) -> None:
    nominal = event.run_facets.get("nominalTime", {})
    work.run(
        "INSERT INTO runs (id, namespace, job_name, state, nominal_start, nominal_end, started_at, ended_at, facets,"
        " inputs, outputs, created_at, updated_at) VALUES (%(id)s, %(namespace)s, %(job)s, %(state)s, %(start)s,"
        " %(end)s, %(started)s, %(ended)s, %(facets)s, %(inputs)s, %(outputs)s, %(at)s, %(at)s)"
        " ON CONFLICT (id) DO UPDATE SET state = excluded.state, updated_at = excluded.updated_at,"
        " nominal_start = coalesce(excluded.nominal_start, runs.nominal_start),"
        " nominal_end = coalesce(excluded.nominal_end, runs.nominal_end),"
        " started_at = coalesce(runs.started_at, excluded.started_at),"
        " ended_at = coalesce(excluded.ended_at, runs.ended_at), facets = runs.facets || excluded.facets,"
        " inputs = CASE WHEN excluded.inputs = '[]' THEN runs.inputs ELSE excluded.inputs END,"
        " outputs = CASE WHEN excluded.outputs = '[]' THEN runs.outputs ELSE excluded.outputs END",
        id=event.run, namespace=event.namespace, job=event.job, state=event.state, at=event.at,
        start=nominal.get("nominalStartTime"), end=nominal.get("nominalEndTime"), facets=event.run_facets,
        started=event.at if event.kind == "START" else None, ended=event.at if event.state in DONE else None, **sides,
    )  # fmt: skip


def _see_dataset(work: Work, event: Happened, said: Document, side: str) -> Document:
    """Note the dataset; returns which version of it the run saw, with the facets that are about this run alone."""
    namespace, name, facets = said["namespace"], said["name"], dict(said.get("facets") or {})
    _see_namespace(work, namespace, event.at)
    _see_source(work, facets.get("dataSource", {}), namespace, event.at)
    written = side == "outputs"
    # Who only reads a dataset may know little of it: it adds what nobody has said, and replaces nothing.
    fields = [{"name": f["name"], "type": f.get("type"), "tags": [], "description": f.get("description")}
              for f in facets.get("schema", {}).get("fields", [])]  # fmt: skip
    work.run(
        "INSERT INTO datasets (namespace, name, source_name, description, fields, facets, lifecycle, created_at,"
        " updated_at) VALUES (%(namespace)s, %(name)s, %(source)s, %(said)s, %(fields)s, %(facets)s, %(lifecycle)s,"
        " %(at)s, %(at)s) ON CONFLICT (namespace, name) DO UPDATE SET updated_at = excluded.updated_at,"
        " facets = CASE WHEN %(written)s THEN datasets.facets || excluded.facets"
        " ELSE excluded.facets || datasets.facets END,"
        " description = coalesce(excluded.description, datasets.description),"
        " fields = CASE WHEN excluded.fields = '[]' THEN datasets.fields ELSE excluded.fields END",
        namespace=namespace, name=name, source=facets.get("dataSource", {}).get("name") or "default", fields=fields,
        facets=facets, lifecycle=facets.get("lifecycleStateChange", {}).get("lifecycleStateChange"), at=event.at,
        said=facets.get("documentation", {}).get("description"), written=written,
    )  # fmt: skip
    version = _written(work, event, namespace, name) if written else _read(work, event, namespace, name)
    own = said.get("outputFacets" if written else "inputFacets") or {}
    return {"datasetVersionId": {"namespace": namespace, "name": name, "version": version}, "facets": own}


def _see_source(work: Work, facet: Document, namespace: str, at: datetime) -> None:
    work.run(
        "INSERT INTO sources (name, type, connection_url, created_at, updated_at)"
        " VALUES (%(name)s, %(type)s, %(url)s, %(at)s, %(at)s) ON CONFLICT (name) DO UPDATE"
        " SET updated_at = excluded.updated_at, connection_url = excluded.connection_url",
        name=facet.get("name") or "default", type=namespace.split(":")[0].upper(), url=facet.get("uri") or "", at=at,
    )  # fmt: skip


def _written(work: Work, event: Happened, namespace: str, name: str) -> str:
    """A run's output is a version of its own."""
    version = str(uuid.uuid5(PLACE, json.dumps([namespace, name, event.run])))
    _add_version(work, event, namespace, name, version, event.run)
    work.run(
        "UPDATE datasets SET current_version = %(version)s, last_modified_at ="
        " CASE WHEN %(done)s THEN %(at)s ELSE last_modified_at END WHERE namespace = %(namespace)s AND name = %(name)s",
        version=version, done=event.state == "COMPLETED", at=event.at, namespace=namespace, name=name,
    )  # fmt: skip
    return version


def _read(work: Work, event: Happened, namespace: str, name: str) -> str:
    """The version that is current; of a dataset that nobody is known to have written, a first one."""
    query = "SELECT current_version FROM datasets WHERE namespace = %(namespace)s AND name = %(name)s"
    row = work.one(query, namespace=namespace, name=name)
    if row and row["current_version"]:
        return str(row["current_version"])
    version = str(uuid.uuid5(PLACE, json.dumps([namespace, name])))
    _add_version(work, event, namespace, name, version, None)
    work.run("UPDATE datasets SET current_version = %(version)s WHERE namespace = %(namespace)s AND name = %(name)s",
             version=version, namespace=namespace, name=name)  # fmt: skip
    return version


def _add_version(work: Work, event: Happened, namespace: str, name: str, version: str, run: str | None) -> None:
    work.run(
        "INSERT INTO dataset_versions (version, namespace, name, fields, facets, run_id, lifecycle, created_at)"
        " SELECT %(version)s, namespace, name, fields, facets, %(run)s, lifecycle, %(at)s FROM datasets"
        " WHERE namespace = %(namespace)s AND name = %(name)s ON CONFLICT (version) DO UPDATE"
        " SET fields = excluded.fields, facets = excluded.facets",
        version=version, run=run, at=event.at, namespace=namespace, name=name,
    )  # fmt: skip


def _see_version(work: Work, event: Happened, sides: dict[str, list[Document]]) -> None:
    """What the job reads and writes is what its last completed run did."""
    reads, writes = (_ids(sides[side]) for side in ("inputs", "outputs"))
    location = event.job_facets.get("sourceCodeLocation", {}).get("url")
    version = str(uuid.uuid5(PLACE, json.dumps([event.namespace, event.job, location, reads, writes])))
    common: dict[str, Any] = {"namespace": event.namespace, "name": event.job, "version": version, "run": event.run}
    work.run(
        "INSERT INTO job_versions SELECT %(version)s, namespace, name, %(reads)s, %(writes)s, location, facets,"
        " %(run)s, %(at)s FROM jobs WHERE namespace = %(namespace)s AND name = %(name)s"
        " ON CONFLICT (version) DO NOTHING",
        reads=reads, writes=writes, at=event.at, **common,
    )  # fmt: skip
    work.run("UPDATE jobs SET current_version = %(version)s, inputs = %(reads)s, outputs = %(writes)s"
             " WHERE namespace = %(namespace)s AND name = %(name)s", reads=reads, writes=writes, **common)  # fmt: skip
    work.run("UPDATE runs SET job_version = %(version)s WHERE id = %(run)s", version=version, run=event.run)


def _ids(seen: list[Document]) -> list[Document]:
    pairs = sorted({(s["datasetVersionId"]["namespace"], s["datasetVersionId"]["name"]) for s in seen})
    return [{"namespace": namespace, "name": name} for namespace, name in pairs]
