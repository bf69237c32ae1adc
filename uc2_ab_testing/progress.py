"""How far an experiment got: kept with the Experiment itself, so that whoever comes next goes on from there."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from churn.rollout import Rollout
from common.errors import StepFailed
from common.serving_manifests import CONCLUDED_NOTE, is_undecided, service_name
from uc2_ab_testing.results import CanaryDeployment

if TYPE_CHECKING:
    from common.tools import Tools

DISAGREEMENT, ROWS, TRIED = "mlops/expected-disagreement", "mlops/holdout-rows", "mlops/canary"


@dataclass(frozen=True)
class Progress:
    """An Experiment on our service. `rollout` is None before the first window; `log` is where shadow scoring stands."""

    document: dict[str, Any]
    rollout: Rollout | None = None
    log: dict[str, Any] = field(default_factory=dict)

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
        """The verdict was carried out, if the experiment is ours; what others made ends when its status says so."""
        ours = DISAGREEMENT in self.notes
        return CONCLUDED_NOTE in self.notes if ours else not is_undecided(self.document)

    @property
    def has_verdict(self) -> bool:
        """True when it is known how it ends, carried out or not."""
        return self.rollout is not None and self.rollout.verdict != ""

    @property
    def tried(self) -> CanaryDeployment | None:
        """Both versions as they were when it began: the registry may have lost one since."""
        kept = self.notes.get(TRIED)
        return CanaryDeployment.model_validate_json(kept) if kept else None

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
    document = tools.iter8.get(name, tools.settings.uc1.namespace)
    if document is None:
        raise StepFailed(
            f"Experiment {tools.settings.uc1.namespace}/{name} is not there any more: somebody deleted it.",
            "Run UC2 again: it goes on with the canary that is still there, in a new experiment.",
        )
    return _read(document, tools.iter8.state(document) or {})


def keep(tools: "Tools", name: str, rollout: Rollout, log: dict[str, Any], *, concluded: bool = False) -> None:
    """Write down how far it got, before anything follows from it; `concluded` after everything that does."""
    kept = _short(rollout) if concluded else rollout
    state = {"rollout": kept.model_dump(mode="json", exclude_defaults=True), "log": log}
    tools.iter8.save(name, tools.settings.uc1.namespace, state, concluded=concluded)


def _short(rollout: Rollout) -> Rollout:
    """Without what earlier windows were judged as: every run reads all experiments that there ever were."""
    earlier = [window.model_copy(update={"objectives": ()}) for window in rollout.windows[:-1]]
    return rollout.model_copy(update={"windows": (*earlier, *rollout.windows[-1:])})


def _read(document: dict[str, Any], state: dict[str, Any]) -> Progress:
    kept = state.get("rollout")
    rollout = Rollout.model_validate(kept) if kept else None
    return Progress(document, rollout, state.get("log", {}))
