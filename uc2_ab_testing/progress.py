"""How far an experiment got: kept with the Experiment itself, so that whoever comes next goes on from there."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from churn.rollout import Rollout
from common.errors import StepFailed
from common.serving_manifests import is_undecided, service_name

if TYPE_CHECKING:
    from common.tools import Tools

DISAGREEMENT, ROWS = "mlops/expected-disagreement", "mlops/holdout-rows"


@dataclass(frozen=True)
class Progress:
    """An Experiment on our service. `rollout` is None before the first window; `log` is where shadow scoring stands."""

    document: dict[str, Any]
    rollout: Rollout | None = None
    log: dict[str, Any] = field(default_factory=dict)
    concluded: bool = False

    @property
    def name(self) -> str:
        return str(self.document["metadata"]["name"])

    @property
    def notes(self) -> dict[str, str]:
        """Its annotations."""
        return dict(self.document["metadata"].get("annotations") or {})

    @property
    def since(self) -> datetime:
        """When it was created, by the API server's clock."""
        return datetime.fromisoformat(self.document["metadata"]["creationTimestamp"])

    @property
    def baseline(self) -> str:
        """Number of the version that it compares with; "" where it is not one of ours."""
        return _number(self._versions().get("baseline", {}))

    @property
    def candidate(self) -> str:
        """Number of the version that it tries; "" where it is not one of ours."""
        return _number(next(iter(self._versions().get("candidates") or [{}])))

    @property
    def is_finished(self) -> bool:
        """Decided, and the verdict carried out; what others made is theirs to carry out."""
        return not is_undecided(self.document) and (self.concluded or DISAGREEMENT not in self.notes)

    def _versions(self) -> dict[str, Any]:
        return self.document["spec"].get("versionInfo") or {}


def _number(version: dict[str, Any]) -> str:
    name = str(version.get("name", ""))
    return name[1:] if name.startswith("v") and name[1:].isdigit() else ""


def all_of(tools: "Tools") -> list[Progress]:
    """Every experiment on our service, oldest first."""
    uc1 = tools.settings.uc1
    documents = tools.iter8.on(uc1.namespace, service_name(uc1.model_name))
    return [_read(document, tools.iter8.state(document) or {}) for document in documents]


def unfinished(tools: "Tools") -> Progress | None:
    """The one that is running, or whose verdict was not carried out."""
    return next((progress for progress in all_of(tools) if not progress.is_finished), None)


def of(tools: "Tools", name: str) -> Progress:
    """The experiment of this name. Raises StepFailed where it is gone."""
    found = next((progress for progress in all_of(tools) if progress.name == name), None)
    if found is None:
        raise StepFailed(
            f"Experiment {tools.settings.uc1.namespace}/{name} is not there any more: somebody deleted it.",
            "Run UC2 again: it goes on with the canary that is still there, in a new experiment.",
        )
    return found


def keep(tools: "Tools", name: str, rollout: Rollout, log: dict[str, Any], *, concluded: bool = False) -> None:
    """Write down how far it got, before anything follows from it."""
    state = {"rollout": rollout.model_dump(mode="json", exclude_defaults=True), "log": log, "concluded": concluded}
    tools.iter8.save(name, tools.settings.uc1.namespace, state)


def _read(document: dict[str, Any], state: dict[str, Any]) -> Progress:
    kept = state.get("rollout")
    rollout = Rollout.model_validate(kept) if kept else None
    return Progress(document, rollout, state.get("log", {}), bool(state.get("concluded")))
