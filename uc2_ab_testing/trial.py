"""Who is tried against whom, read from the registry and the cluster.

What has begun comes first: a running experiment names both versions, a running canary its own. Else it is the
version that was asked for, else the registry's candidate.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import GateRefused, StepFailed, UsageError
from common.model_versions import CHAMPION, PASSED
from common.serving_manifests import service_name
from uc2_ab_testing.progress import Progress, unfinished

if TYPE_CHECKING:
    from common.registry import Version
    from common.serving_manifests import LiveCanary
    from common.tools import Tools


@dataclass(frozen=True)
class Trial:
    """A champion and the version that is tried; `progress` of the experiment and `live` share, where it has begun."""

    champion: "Version"
    candidate: "Version | None"
    live: "LiveCanary | None" = None
    progress: Progress | None = None
    why_none: str = ""

    @property
    def is_over(self) -> bool:
        """A verdict was reached, and perhaps not yet carried out: nothing more is to be deployed."""
        return self.progress is not None and self.progress.rollout is not None and self.progress.rollout.verdict != ""


def chosen(tools: "Tools") -> Trial:
    """The trial that is running or due. Raises GateRefused where one runs already that was not asked for."""
    uc1 = tools.settings.uc1
    versions = {version.version: version for version in tools.mlflow.versions(uc1.model_name)}
    progress = unfinished(tools)
    live = tools.kserve.canaries.live(uc1.namespace, service_name(uc1.model_name))
    if progress:
        trial = Trial(_known(versions, progress.baseline, uc1.model_name),
                      _known(versions, progress.candidate, uc1.model_name), live, progress)  # fmt: skip
    elif live:
        trial = Trial(_champion(tools), _known(versions, live.version, uc1.model_name), live)
    else:
        return _due(tools, versions)
    refuse_another(trial, tools.settings.uc2.version)
    return trial


def _due(tools: "Tools", versions: "dict[str, Version]") -> Trial:
    champion, wanted = _champion(tools), tools.settings.uc2.version
    if wanted is None:
        candidate = tools.mlflow.candidate(champion.name)
        why = "" if candidate else f"No version of {champion.name} is waiting beside the champion v{champion.version}."
        return Trial(champion, candidate, why_none=why)
    if str(wanted) not in versions:
        raise UsageError(f"{champion.name} has no version {wanted}.", f"It has {', '.join(versions) or 'none'}.")
    candidate = versions[str(wanted)]
    if candidate.state == CHAMPION:
        return Trial(champion, None, why_none=f"Version {wanted} of {champion.name} is champion already.")
    return Trial(champion, candidate)


def refuse_another(trial: Trial, wanted: int | None) -> None:
    """Raise GateRefused where the canary that runs is not the one asked for, or belongs to no running experiment."""
    assert trial.candidate is not None
    running = trial.candidate.version
    if trial.live and trial.live.version != running and not trial.is_over:
        raise GateRefused(
            f"The canary on {trial.candidate.name} is {trial.live.version or 'unknown'}, and an experiment on it tries "
            f"version {running}.", "Take the canary out of the InferenceService, or end the experiment.",
        )  # fmt: skip
    if wanted is not None and str(wanted) != running:
        raise GateRefused(
            f"Version {running} of {trial.candidate.name} is in a canary; version {wanted} has to wait.",
            "Run UC2 without --version to end it first.",
        )


def refuse_unfit(candidate: "Version", columns: tuple[str, ...], champion_columns: tuple[str, ...]) -> None:
    """Raise GateRefused for a version that its gate did not pass, or that asks for other columns than the champion."""
    if candidate.gate != PASSED:
        raise GateRefused(
            f"Version {candidate.version} of {candidate.name} did not pass its gate: {candidate.gate or 'no verdict'}.",
            "Only what passed on the hold-out is shown to users.",
        )
    differing = sorted(set(columns) ^ set(champion_columns))
    if differing:
        raise GateRefused(
            f"Version {candidate.version} and the champion take different columns: {', '.join(differing)}.",
            "Requests for one are no requests for the other; serve it under a model name of its own.",
        )


def _champion(tools: "Tools") -> "Version":
    name = tools.settings.uc1.model_name
    champion = tools.mlflow.champion(name)
    if champion is None:
        raise StepFailed(
            f"No version of {name} is champion, so there is nothing to compare with.",
            "Run UC1 first: python uc1_churn_prediction/run_pipeline.py",
        )
    return champion


def _known(versions: "dict[str, Version]", number: str, name: str) -> "Version":
    if number not in versions:
        raise GateRefused(
            f"A canary or an experiment on {name} tries {number or 'a version without a name'}: no version of ours.",
            "It is somebody else's: let them end it.",
        )
    return versions[number]
