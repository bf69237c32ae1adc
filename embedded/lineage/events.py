"""Reads an OpenLineage event as Marquez does: what is missing is named (422), what cannot be read is refused (400)."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Document = dict[str, Any]
STATES = {"START": "RUNNING", "RUNNING": "RUNNING", "COMPLETE": "COMPLETED", "FAIL": "FAILED", "ABORT": "ABORTED"}
DONE = ("COMPLETED", "FAILED", "ABORTED")
FACETS = ("run", "job")


class BadEventError(Exception):
    """The event is refused. `said` lists what is wrong with it."""

    def __init__(self, code: int, *said: str) -> None:
        super().__init__("; ".join(said))
        self.code, self.said = code, list(said)


@dataclass(frozen=True)
class Happened:
    """A run event, checked. `job` is the full name: of a job that has a parent it begins with the parent's."""

    document: Document
    at: datetime
    kind: str | None
    run: str
    namespace: str
    job: str
    simple: str
    parent: tuple[str, str, str] | None

    @property
    def state(self) -> str:
        """The state of the run after this event."""
        return "NEW" if self.kind is None else STATES.get(self.kind, "RUNNING")

    @property
    def job_facets(self) -> Document:
        return dict(self.document["job"].get("facets") or {})

    @property
    def run_facets(self) -> Document:
        return dict(self.document["run"].get("facets") or {})

    def datasets(self, side: str) -> list[Document]:
        """The datasets of one side: inputs or outputs."""
        return list(self.document.get(side) or [])


def is_run_event(document: Document) -> bool:
    """Marquez decides by the last part of schemaURL; what it does not know, or is not there, is a run event."""
    return str(document.get("schemaURL") or "").rsplit("/", 1)[-1] not in ("DatasetEvent", "JobEvent")


def read(document: Any) -> Happened:
    """The event, checked. Raises BadEventError."""
    if not isinstance(document, dict):
        raise BadEventError(400, "Unable to process JSON")
    missing = [*_missing(document), *_bare_facets(document)]
    if missing:
        raise BadEventError(422, *missing)
    job, run = document["job"], document["run"]
    parent = _parent((run.get("facets") or {}).get("parent"))
    prefix = f"{parent[1]}." if parent else ""
    simple = job["name"].removeprefix(prefix)
    kind = document.get("eventType")
    return Happened(
        document, time_of(document["eventTime"]), str(kind).upper() if kind else None, run_id(run["runId"]),
        job["namespace"], prefix + simple, simple, parent,
    )  # fmt: skip


def time_of(text: Any) -> datetime:
    """A time as the API takes it; without a zone it is UTC. Raises BadEventError."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        raise BadEventError(400, f"{text} is no time") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def run_id(given: Any) -> str:
    """A UUID; what is none becomes one, always the same."""
    try:
        return str(uuid.UUID(str(given)))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, str(given)))


def _missing(document: Document) -> list[str]:
    wanted = [("eventTime",), ("producer",), ("run", "runId"), ("job", "namespace"), ("job", "name")]
    wanted_of = [(side, n, key) for side in ("inputs", "outputs") for n, _ in enumerate(document.get(side) or [])
                 for key in ("namespace", "name")]  # fmt: skip
    return [f"{'.'.join(map(str, path))} must not be null" for path in [*wanted, *wanted_of] if not _at(document, path)]


def _bare_facets(document: Document) -> list[str]:
    """Facets that do not say who produced them, and by which schema."""
    found = [(f"{part}.facets", (document.get(part) or {}).get("facets")) for part in FACETS]
    for side in ("inputs", "outputs"):
        found += [(f"{side}[{n}].facets", each.get("facets")) for n, each in enumerate(document.get(side) or [])]
    return [
        f"{where}.{name}.{key} must not be null"
        for where, facets in found for name, facet in (facets or {}).items() if isinstance(facet, dict)
        for key in ("_producer", "_schemaURL") if not facet.get(key)
    ]  # fmt: skip


def _at(document: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def _parent(facet: Any) -> tuple[str, str, str] | None:
    """Namespace, name and run of the parent, where the facet says all three."""
    said = [_at(facet, path) for path in (("job", "namespace"), ("job", "name"), ("run", "runId"))]
    return (str(said[0]), str(said[1]), run_id(said[2])) if all(said) else None
