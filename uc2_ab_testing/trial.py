"""Who is tried against whom, read from the registry and the cluster.

What has begun comes first: a running experiment names both versions, a running canary its own. Else it is the
version that was asked for, else the registry's candidate.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from common.errors import GateRefused, StepFailed, UsageError
from common.model_versions import CHAMPION, PASSED, Version
from common.serving_manifests import LiveCanary, champion_digest, service_name
from uc2_ab_testing.progress import Progress, unfinished

if TYPE_CHECKING:
    from churn.features import FeatureColumns
    from common.tools import Tools

AGAINST = "gate_champion"  # tag: digest of the champion that the gate compared with


@dataclass(frozen=True)
class Trial:
    """A champion and the version that is tried; `progress` of the experiment and `live` share, where it has begun.

    `left` is a canary that nobody watches, beside a version that is champion no more: it has to go first.
    """

    champion: Version
    candidate: Version | None
    live: LiveCanary | None = None
    progress: Progress | None = None
    why_none: str = ""
    left: LiveCanary | None = None

    @property
    def is_over(self) -> bool:
        """A verdict was reached, and perhaps not yet carried out: nothing more is to be deployed."""
        return self.progress is not None and self.progress.has_verdict


def chosen(tools: "Tools") -> Trial:
    """The trial that is running or due. Raises GateRefused where one runs already that was not asked for."""
    uc1 = tools.settings.uc1
    versions = {version.version: version for version in tools.mlflow.versions(uc1.model_name)}
    progress = unfinished(tools)
    live = tools.kserve.canaries.live(uc1.namespace, service_name(uc1.model_name))
    if progress:
        known = {**_remembered(progress), **versions}
        champion, candidate = (_known(known, each, uc1.model_name) for each in (progress.baseline, progress.candidate))
        trial = Trial(champion, candidate, live, progress)
    elif live and _is_left(tools, versions, live):
        return replace(_due(tools, versions), left=live)
    elif live:
        trial = Trial(_champion(tools), _known(versions, live.version, uc1.model_name), live)
    else:
        return _due(tools, versions)
    refuse_another(trial, tools.settings.uc2.version)
    return trial


def _due(tools: "Tools", versions: dict[str, Version]) -> Trial:
    champion, wanted = _champion(tools), tools.settings.uc2.version
    if wanted is None:
        return _waiting(tools, champion)
    if str(wanted) not in versions:
        raise UsageError(f"{champion.name} has no version {wanted}.", f"It has {', '.join(versions) or 'none'}.")
    candidate = versions[str(wanted)]
    if candidate.state == CHAMPION:
        return Trial(champion, None, why_none=f"Version {wanted} of {champion.name} is champion already.")
    worse = "" if tools.settings.uc2.inject else why_worse(tools, candidate, champion)
    if worse:
        raise GateRefused(worse, "Train again: UC1 compares with the champion that stands now.")
    return Trial(champion, candidate)


def _waiting(tools: "Tools", champion: Version) -> Trial:
    """The registry's candidate, if there is one that is good enough beside the champion of today."""
    candidate = tools.mlflow.candidate(champion.name)
    if candidate is None:
        none = f"No version of {champion.name} is waiting beside the champion v{champion.version}."
        return Trial(champion, None, why_none=none)
    worse = why_worse(tools, candidate, champion)
    return Trial(champion, None if worse else candidate, why_none=worse)


def why_worse(tools: "Tools", candidate: Version, champion: Version) -> str:
    """Why a version that passed its gate beside another champion would not beside this one; "" where it would."""
    if candidate.gate != PASSED or candidate.tags.get(AGAINST) == champion.digest:
        return ""
    from churn.gates import ModelRules, judge_model

    again = judge_model(candidate.metrics, ModelRules(**tools.settings.uc1.gate.model_dump()), champion.metrics)
    if again.passed:
        return ""
    return (
        f"Version {candidate.version} of {candidate.name} passed its gate beside another champion; beside "
        f"v{champion.version} it is {again}."
    )


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


def refuse_unfit(candidate: Version, columns: "FeatureColumns", champion_columns: "FeatureColumns") -> None:
    """Raise GateRefused for a version that its gate did not pass, or that asks for other columns than the champion.

    One that takes for text what the champion takes for a number answers the champion's requests with 400.
    """
    if candidate.gate != PASSED:
        raise GateRefused(
            f"Version {candidate.version} of {candidate.name} did not pass its gate: {candidate.gate or 'no verdict'}.",
            "Only what passed on the hold-out is shown to users.",
        )
    kinds = zip(
        (columns.numeric, columns.categorical), (champion_columns.numeric, champion_columns.categorical), strict=True
    )
    differing = sorted({name for ours, theirs in kinds for name in set(ours) ^ set(theirs)})
    if differing:
        raise GateRefused(
            f"Version {candidate.version} and the champion take different columns: {', '.join(differing)}.",
            "Requests for one are no requests for the other; serve it under a model name of its own.",
        )


def _is_left(tools: "Tools", versions: dict[str, Version], live: LiveCanary) -> bool:
    """True for a canary of ours that can be gone on with no more: its version is gone, or another is champion now."""
    uc1 = tools.settings.uc1
    service = tools.kserve.live(uc1.namespace, service_name(uc1.model_name)) or {}
    moved = champion_digest(service) != _champion(tools).digest
    return bool(live.digest) and (moved or live.version not in versions)


def _remembered(progress: Progress) -> dict[str, Version]:
    """Both versions as the experiment keeps them, for one that was deleted from the registry meanwhile."""
    tried = progress.tried
    both = (tried.champion, tried.challenger) if tried else ()
    return {
        each.version: Version(tried.model_name, each.version, "", {"digest": each.digest, "uri": each.uri})
        for each in both if tried
    }  # fmt: skip


def _champion(tools: "Tools") -> Version:
    name = tools.settings.uc1.model_name
    champion = tools.mlflow.champion(name)
    if champion is None:
        raise StepFailed(
            f"No version of {name} is champion, so there is nothing to compare with.",
            "Run UC1 first: python uc1_churn_prediction/run_pipeline.py",
        )
    return champion


def _known(versions: dict[str, Version], number: str, name: str) -> Version:
    if number not in versions:
        raise GateRefused(
            f"A canary or an experiment on {name} tries {number or 'a version without a name'}: no version of ours.",
            "It is somebody else's: let them end it.",
        )
    return versions[number]
