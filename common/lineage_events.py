"""The ledger's events of a run as OpenLineage events: a pure function, and the same for as long as the ledger stands.

A pipeline's run is the parent of its steps' runs; where several pipelines ran as one, that run is the root. Ids follow
from the ledger's run, the job and how often it ran before in this run. What a longer ledger says begins with what a
shorter one said, so that a cursor is enough to know what was sent.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from common import lineage_facets as facets
from common.ledger import Event

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

PRODUCER = "urn:mlops-use-cases"
ROOT_JOB = "run_all"
GOOD = ("done", "unchanged")
ENDINGS = {"done": "COMPLETE", "unchanged": "COMPLETE", "failed": "FAIL", "interrupted": "ABORT"}
Document = dict[str, Any]
Standing = Mapping[str, Document]


class Due(NamedTuple):
    """An event, and its place: the ledger's event that it follows from, and its number among those of that one."""

    seq: int
    number: int
    event: Document

    @property
    def run_id(self) -> str:
        """The run that it is about."""
        return str(self.event["run"]["runId"])

    @property
    def kind(self) -> str:
        """START, COMPLETE, FAIL or ABORT."""
        return str(self.event["eventType"])

    @property
    def job(self) -> str:
        """The job, with the pipeline's name in front."""
        return str(self.event["job"]["name"])


class Running(NamedTuple):
    """A run of a job that has started: of a step, of a pipeline, or of all."""

    job: str
    run_id: str
    job_facets: Mapping[str, Any]


def events_of(run: Sequence[Event], standing: Standing) -> list[Due]:
    """All events of one run of the ledger, in order.

    `standing` holds the body of the last `done` end of steps before this run: a step that found nothing to do reads and
    writes what made that which stands, or its place in the graph would be gone.
    """
    telling = _Telling(run[0], standing) if run and run[0].kind == "run_started" else None
    if telling is None:
        return []
    for event in run:
        telling.hear(event)
    return telling.due


def needs_standing(run: Sequence[Event]) -> set[str]:
    """The steps of a run that ended unchanged after they ran: what they stand on is known from before."""
    return {event.step for event in run if event.kind == "step_ended" and event.state == "unchanged"}


class _Telling:
    """What has been told of a run so far."""

    def __init__(self, start: Event, standing: Standing) -> None:
        self.due: list[Due] = []
        self._standing = standing
        self._start = start
        noted = start.body.get("lineage") or {}
        self._namespace, self._places = noted.get("namespace", "mlops"), noted.get("places") or {}
        self._code = noted.get("code") or {}
        self._names = [name for name in start.state.split(",") if name]
        self._times: dict[str, int] = {}
        self._root: Running | None = None
        self._pipeline: Running | None = None
        self._pipeline_failed = False
        self._last_step = ""
        self._step: Running | None = None

    def hear(self, event: Event) -> None:
        """Add what follows from one more event of the ledger."""
        if event.kind == "run_started" and len(self._names) > 1:
            self._root = self._begin(event, ROOT_JOB, "RUN", "Every use case in order")
        elif event.kind == "run_started" and self._names:
            self._enter(event, self._names[0])
        elif event.kind == "step_started":
            self._enter(event, _pipeline_of(event.step), event.step)
            self._start_step(event)
        elif event.kind == "step_ended":
            self._enter(event, _pipeline_of(event.step), event.step)
            self._end_step(event)
        elif event.kind == "run_ended":
            self._end_run(event)

    def _enter(self, event: Event, name: str, step: str = "") -> None:
        """Be in the pipeline of this name; one whose steps begin again is another run of it."""
        again = bool(step) and step < self._last_step
        if self._pipeline and (self._pipeline.job != name or again):
            self._leave(event, "")
        if self._pipeline is None:
            self._pipeline = self._begin(event, name, "PIPELINE", f"The pipeline {name}")
        self._last_step = step or self._last_step

    def _leave(self, event: Event, ending: str) -> None:
        if self._pipeline:
            kind = ending or ("FAIL" if self._pipeline_failed else "COMPLETE")
            self._tell(event, kind, self._pipeline, root=self._root)
        self._pipeline, self._pipeline_failed, self._last_step = None, False, ""

    def _start_step(self, event: Event) -> None:
        assert self._pipeline
        about = facets.of_step(event.body, self._code)
        self._step = Running(f"{self._pipeline.job}.{event.step}", self._run_id(event.step), about)
        self._tell(event, "START", self._step, parent=self._pipeline, root=self._root)

    def _end_step(self, event: Event) -> None:
        if self._step is None and event.state in GOOD:
            return  # it did not run: nothing happened that lineage would tell
        if self._step is None:
            self._start_step(event)
        assert self._step
        failed = event.state not in GOOD
        self._pipeline_failed |= failed
        body = event.body
        if event.state == "unchanged":
            body = {**body, **{side: self._standing.get(event.step, body).get(side) for side in ("reads", "writes")}}
        self._tell(event, ENDINGS[event.state], self._step, parent=self._pipeline, root=self._root, body=body)
        self._step = None

    def _end_run(self, event: Event) -> None:
        stopped = "ABORT" if event.state == "interrupted" else ""
        if self._step:
            self._tell(event, "ABORT", self._step, parent=self._pipeline, root=self._root)
        self._leave(event, stopped)
        if self._root:
            self._tell(event, ENDINGS.get(event.state, "ABORT"), self._root)
        self._step = self._root = None

    def _begin(self, event: Event, job: str, kind: str, said: str) -> Running:
        begun = Running(job, self._run_id(job), facets.of_job(kind, said))
        self._tell(event, "START", begun, root=self._root)
        return begun

    def _run_id(self, job: str) -> str:
        from openlineage.client.uuid import generate_static_uuid

        self._times[job] = self._times.get(job, 0) + 1
        data = f"{self._start.run}/{job}/{self._times[job]}".encode()
        return str(generate_static_uuid(datetime.fromisoformat(self._start.at), data))

    def _tell(
        self, event: Event, kind: str, running: Running, *, parent: Running | None = None,
        root: Running | None = None, body: Document | None = None,
    ) -> None:  # fmt: skip
        from openlineage.client.event_v2 import Job, Run, RunEvent
        from openlineage.client.generated.base import EventType

        about = facets.of_run(self._start, self._namespace, parent, root)
        if body is not None:
            about |= facets.of_ending(event.state, body)
        made = RunEvent(
            eventTime=event.at, eventType=EventType(kind), producer=PRODUCER,
            run=Run(running.run_id, about), job=Job(self._namespace, running.job, dict(running.job_facets)),
            inputs=facets.inputs(body or {}, self._places), outputs=facets.outputs(body or {}, self._places),
        )  # fmt: skip
        number = sum(due.seq == event.seq for due in self.due[-4:])
        self.due.append(Due(event.seq, number, _document(made)))


def _pipeline_of(step: str) -> str:
    return step.split("_")[0]


def _document(event: "RunEvent") -> Document:
    from openlineage.client.serde import Serde

    return dict(_named(Serde.to_dict(event)))


def _named(value: Any) -> Any:
    """Facets name their producer too, and the library would name itself."""
    if isinstance(value, dict):
        return {key: PRODUCER if key == "_producer" else _named(each) for key, each in value.items()}
    return [_named(each) for each in value] if isinstance(value, list) else value
