"""Rows as the API shows them: the key names of Marquez 0.51, and nothing that it would not say."""

from datetime import UTC, datetime
from typing import Any

Document = dict[str, Any]
Row = dict[str, Any]


def time_text(at: datetime | None) -> str | None:
    """ISO 8601 in UTC, as the API writes times."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z") if at else None


def namespace(row: Row) -> Document:
    """A namespace."""
    return {
        "name": row["name"], "createdAt": time_text(row["created_at"]), "updatedAt": time_text(row["updated_at"]),
        "ownerName": row["owner"], "description": row["description"], "isHidden": False,
    }  # fmt: skip


def source(row: Row) -> Document:
    """A data source."""
    return {
        "type": row["type"], "name": row["name"], "createdAt": time_text(row["created_at"]),
        "updatedAt": time_text(row["updated_at"]), "connectionUrl": row["connection_url"] or "", "description": None,
    }  # fmt: skip


def dataset(row: Row) -> Document:
    """A dataset with its current version."""
    return {
        "id": {"namespace": row["namespace"], "name": row["name"]}, "type": row["type"], "name": row["name"],
        "physicalName": row["name"], "createdAt": time_text(row["created_at"]),
        "updatedAt": time_text(row["updated_at"]), "namespace": row["namespace"], "sourceName": row["source_name"],
        "fields": row["fields"], "tags": [], "lastModifiedAt": time_text(row["last_modified_at"]),
        "lastLifecycleState": row["lifecycle"], "description": row["description"],
        "currentVersion": row["current_version"], "columnLineage": None, "facets": row["facets"], "deleted": False,
    }  # fmt: skip


def dataset_version(row: Row, made_by: Document | None) -> Document:
    """One version of a dataset, with the run that made it."""
    return {
        "id": {"namespace": row["namespace"], "name": row["name"], "version": row["version"]}, "type": "DB_TABLE",
        "name": row["name"], "physicalName": row["name"], "createdAt": time_text(row["created_at"]),
        "version": row["version"], "namespace": row["namespace"], "sourceName": row["source_name"],
        "fields": row["fields"], "tags": [], "lifecycleState": row["lifecycle"], "description": row["description"],
        "currentSchemaVersion": None, "createdByRun": made_by, "facets": row["facets"],
    }  # fmt: skip


def job(row: Row, runs: list[Document]) -> Document:
    """A job with its newest runs, the newest first."""
    return {
        "id": {"namespace": row["namespace"], "name": row["name"]}, "type": row["type"], "name": row["name"],
        "simpleName": row["simple_name"], "parentJobName": row["parent_name"], "parentJobUuid": None,
        "createdAt": time_text(row["created_at"]), "updatedAt": time_text(row["updated_at"]),
        "namespace": row["namespace"], "inputs": row["inputs"], "outputs": row["outputs"], "location": row["location"],
        "context": {}, "description": row["description"], "latestRun": runs[0] if runs else None, "latestRuns": runs,
        "facets": row["facets"], "currentVersion": row["current_version"], "labels": [], "tags": [],
    }  # fmt: skip


def job_version(row: Row) -> Document:
    """One version of a job: what it read and wrote then."""
    return {
        "id": {"namespace": row["namespace"], "name": row["name"], "version": row["version"]}, "name": row["name"],
        "createdAt": time_text(row["created_at"]), "version": row["version"], "namespace": row["namespace"],
        "location": row["location"], "inputs": row["inputs"], "outputs": row["outputs"], "latestRun": None,
        "facets": row["facets"],
    }  # fmt: skip


def run(row: Row) -> Document:
    """A run; times that it does not know are null."""
    ended, began = row["ended_at"], row["started_at"]
    return {
        "id": row["id"], "createdAt": time_text(row["created_at"]), "updatedAt": time_text(row["updated_at"]),
        "nominalStartTime": time_text(row["nominal_start"]), "nominalEndTime": time_text(row["nominal_end"]),
        "state": row["state"], "startedAt": time_text(began), "endedAt": time_text(ended),
        "durationMs": round((ended - began).total_seconds() * 1000) if ended and began else None, "args": {},
        "jobVersion": _versioned(row), "inputDatasetVersions": row["inputs"], "outputDatasetVersions": row["outputs"],
        "context": {}, "facets": row["facets"],
    }  # fmt: skip


def _versioned(row: Row) -> Document | None:
    if not row["job_version"]:
        return None
    return {"namespace": row["namespace"], "name": row["job_name"], "version": row["job_version"]}
