"""Runs as the ledger tells them, for tests: what the runner would have noted, without running anything."""

from pathlib import Path
from typing import Any

from common.ledger import Event, Ledger
from common.lineage_events import Due, events_of
from common.step import Dataset, Result

NAMESPACE = "mlops"
PLACES = {
    "table": "postgres://db.example.com:5432", "database": "mlops", "bucket": "mlops", "feature_view": "feast://churn",
    "data_repository": "git://git.example.com/data", "model": "mlflow://mlflow.example.com",
    "service": "kserve://cluster", "s3": "http://minio.example.com:9000",
}  # fmt: skip
CODE = {"commit": "0" * 40, "repository": "https://git.example.com/team/mlops.git"}


class Story:
    """A ledger of one's own, written by hand. `run` is the name of the run that is being told."""

    def __init__(self, path: Path, namespace: str = NAMESPACE) -> None:
        self.ledger = Ledger(path / "ledger.db")
        self.namespace, self.run, self._count = namespace, "", 0

    def begin(self, *pipelines: str) -> "Story":
        self._count += 1
        self.run = f"20260101T000000Z-{self._count:04}"
        noted = {"namespace": self.namespace, "places": PLACES, "code": CODE}
        self._add("run_started", state=",".join(pipelines), body={"environment": "development", "lineage": noted})
        return self

    def started(self, step: str) -> "Story":
        about = {"file": f"{step.split('_')[0]}_x/{step}.py", "promise": f"The promise of {step}."}
        self._add("step_started", step, body=about)
        return self

    def ended(self, step: str, state: str = "done", result: Result | None = None, **more: Any) -> "Story":
        sides = {"reads": result.reads(), "writes": result.writes()} if result else {}
        noted = {side: [each.model_dump(mode="json") for each in found] for side, found in sides.items()}
        self._add("step_ended", step, state, {"reads": [], "writes": [], **noted, **more})
        return self

    def step(self, step: str, state: str = "done", result: Result | None = None, **more: Any) -> "Story":
        return self.started(step).ended(step, state, result, **more)

    def end(self, state: str = "done") -> "Story":
        self._add("run_ended", state=state, body={"code": 0})
        return self

    def events(self) -> list[Event]:
        return list(self.ledger.events(run=self.run))

    def told(self, standing: dict[str, Any] | None = None) -> list[Due]:
        return events_of(self.events(), standing or {})

    def _add(self, kind: str, step: str = "", state: str = "", body: Any = None) -> None:
        self.ledger.append(self.run, kind, step, state, body=body)


class Moved(Result):
    """A result that read some datasets and wrote others."""

    read: tuple[Dataset, ...] = ()
    wrote: tuple[Dataset, ...] = ()

    def reads(self) -> tuple[Dataset, ...]:
        return self.read

    def writes(self) -> tuple[Dataset, ...]:
        return self.wrote


def moved(read: Dataset | None = None, wrote: Dataset | None = None) -> Moved:
    return Moved(read=(read,) if read else (), wrote=(wrote,) if wrote else ())


def said(due: list[Due]) -> list[str]:
    return [f"{each.kind} {each.job}" for each in due]
