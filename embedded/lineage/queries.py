"""What the API answers about namespaces, jobs, datasets and runs. None where there is nothing of that name."""

from datetime import datetime
from typing import NamedTuple

from embedded.lineage import nodes, shapes
from embedded.lineage.database import Work
from embedded.lineage.shapes import Document

NEWEST_RUNS = 10


class Page(NamedTuple):
    """Which part of a list is wanted."""

    limit: int
    offset: int


def namespaces(work: Work, page: Page) -> Document:
    """Every namespace."""
    rows, _ = work.page("namespaces", "name", *page)
    return {"namespaces": [shapes.namespace(row) for row in rows]}


def namespace(work: Work, name: str) -> Document | None:
    """One namespace."""
    row = work.one("SELECT * FROM namespaces WHERE name = %(name)s", name=name)
    return shapes.namespace(row) if row else None


def put_namespace(work: Work, name: str, owner: str, description: str | None) -> Document | None:
    """Make or change a namespace."""
    work.run(
        "INSERT INTO namespaces (name, owner, description) VALUES (%(name)s, %(owner)s, %(said)s)"
        " ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, description = excluded.description,"
        " updated_at = now()", name=name, owner=owner, said=description,
    )  # fmt: skip
    return namespace(work, name)


def sources(work: Work, page: Page) -> Document:
    """Every data source."""
    rows, _ = work.page("sources", "name", *page)
    return {"sources": [shapes.source(row) for row in rows]}


def jobs(work: Work, space: str | None, page: Page) -> Document:
    """The jobs of a namespace, or of all, with their newest runs."""
    own = "jobs WHERE %(space)s::text IS NULL OR namespace = %(space)s"
    rows, total = work.page(own, "updated_at DESC, name", *page, space=space)
    runs = latest_runs(work, NEWEST_RUNS)
    found = [shapes.job(row, runs.get((row["namespace"], row["name"]), [])) for row in rows]
    return {"jobs": found, "totalCount": total}


def job(work: Work, space: str, name: str) -> Document | None:
    """One job."""
    query = "SELECT * FROM jobs WHERE namespace = %(space)s AND name = %(name)s"
    row = work.one(query, space=space, name=name)
    return shapes.job(row, latest_runs(work, NEWEST_RUNS).get((space, name), [])) if row else None


def job_versions(work: Work, space: str, name: str, page: Page) -> Document:
    """What a job read and wrote at times, newest first."""
    own = "job_versions WHERE namespace = %(space)s AND name = %(name)s"
    rows, total = work.page(own, "created_at DESC", *page, space=space, name=name)
    return {"versions": [shapes.job_version(row) for row in rows], "totalCount": total}


def runs(work: Work, space: str, name: str, page: Page) -> Document:
    """The runs of a job, newest first."""
    own = "runs WHERE namespace = %(space)s AND job_name = %(name)s"
    rows, total = work.page(own, "created_at DESC, id", *page, space=space, name=name)
    return {"runs": [shapes.run(row) for row in rows], "totalCount": total}


def run(work: Work, run_id: str) -> Document | None:
    """One run."""
    row = work.one("SELECT * FROM runs WHERE id = %(id)s", id=run_id)
    return shapes.run(row) if row else None


def run_facets(work: Work, run_id: str, kind: str) -> Document | None:
    """The facets of a run, or of the job as that run said them."""
    if kind != "job":
        row = work.one("SELECT facets FROM runs WHERE id = %(id)s", id=run_id)
    else:
        row = work.one("SELECT j.facets FROM runs r JOIN jobs j ON j.namespace = r.namespace AND j.name = r.job_name"
                       " WHERE r.id = %(id)s", id=run_id)  # fmt: skip
    return {"runId": run_id, "facets": row["facets"]} if row else None


def latest_runs(work: Work, count: int) -> dict[tuple[str, str], list[Document]]:
    """The newest runs of every job."""
    rows = work.all(
        "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY namespace, job_name ORDER BY created_at DESC, id)"
        " AS place FROM runs) AS numbered WHERE place <= %(count)s ORDER BY place", count=count,
    )  # fmt: skip
    found: dict[tuple[str, str], list[Document]] = {}
    for row in rows:
        found.setdefault((row["namespace"], row["job_name"]), []).append(shapes.run(row))
    return found


def datasets(work: Work, space: str, page: Page) -> Document:
    """The datasets of a namespace."""
    rows, total = work.page("datasets WHERE namespace = %(space)s", "name", *page, space=space)
    return {"datasets": [shapes.dataset(row) for row in rows], "totalCount": total}


def dataset(work: Work, space: str, name: str) -> Document | None:
    """One dataset."""
    row = work.one("SELECT * FROM datasets WHERE namespace = %(space)s AND name = %(name)s", space=space, name=name)
    return shapes.dataset(row) if row else None


def dataset_versions(work: Work, space: str, name: str, page: Page, version: str = "") -> list[Document]:
    """Versions of a dataset, newest first; one where it is named."""
    rows = work.all(
        "SELECT v.*, d.source_name, d.description FROM dataset_versions v JOIN datasets d USING (namespace, name)"
        " WHERE namespace = %(space)s AND name = %(name)s AND %(version)s IN ('', v.version)"
        " ORDER BY v.created_at DESC LIMIT %(limit)s OFFSET %(offset)s",
        space=space, name=name, version=version, **page._asdict(),
    )  # fmt: skip
    return [shapes.dataset_version(row, run(work, row["run_id"]) if row["run_id"] else None) for row in rows]


def events(work: Work, after: datetime | None, before: datetime | None, oldest_first: bool, page: Page) -> Document:
    """Events as they came, of a span of their own times: `after` included, `before` not."""
    span = ("lineage_events WHERE (%(after)s::timestamptz IS NULL OR event_time >= %(after)s)"
            " AND (%(before)s::timestamptz IS NULL OR event_time < %(before)s)")  # fmt: skip
    order = "event_time ASC, id ASC" if oldest_first else "event_time DESC, id DESC"
    rows, total = work.page(span, order, *page, after=after, before=before)
    return {"events": [row["event"] for row in rows], "totalCount": total}


def search(work: Work, text: str, kind: str | None, space: str | None, by_time: bool, limit: int) -> Document:
    """Datasets and jobs whose name holds a text, in any case."""
    rows = work.all(
        "SELECT * FROM (SELECT 'DATASET' AS type, name, updated_at, namespace FROM datasets"
        " UNION ALL SELECT 'JOB', name, updated_at, namespace FROM jobs) AS known"
        " WHERE position(lower(%(text)s) IN lower(name)) > 0 AND (%(kind)s::text IS NULL OR type = %(kind)s)"
        " AND (%(space)s::text IS NULL OR namespace = %(space)s)"
        " ORDER BY CASE WHEN %(by_time)s THEN updated_at END DESC, name, type LIMIT %(limit)s",
        text=text, kind=kind, space=space, by_time=by_time, limit=limit,
    )  # fmt: skip
    return {"totalCount": len(rows), "results": [_result(row) for row in rows]}


def _result(row: Document) -> Document:
    named = nodes.of_job if row["type"] == "JOB" else nodes.of_dataset
    return {
        "type": row["type"], "name": row["name"], "updatedAt": shapes.time_text(row["updated_at"]),
        "namespace": row["namespace"], "nodeId": named(row["namespace"], row["name"]),
    }  # fmt: skip
