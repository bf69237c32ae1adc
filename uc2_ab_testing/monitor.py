"""Watches an experiment window by window, and moves the canary's share, until there is a verdict."""

import time
from typing import TYPE_CHECKING

from churn.objectives import Window
from churn.rollout import Rollout, advance, start
from common.errors import StepFailed
from common.logger import get_logger
from common.serving_manifests import Canary
from uc2_ab_testing import progress
from uc2_ab_testing.conclusion import unless_void
from uc2_ab_testing.evidence import Evidence, rules_of
from uc2_ab_testing.follow import follow
from uc2_ab_testing.live_table import Show
from uc2_ab_testing.reporting import report
from uc2_ab_testing.results import ExperimentRun

if TYPE_CHECKING:
    from common.serving_manifests import LiveCanary
    from common.tools import Tools

log = get_logger(__name__)


class Monitor:
    """One experiment. Every window's end is written down before the share is changed: a killed one is gone on with."""

    def __init__(self, tools: "Tools", run: ExperimentRun) -> None:
        self._tools, self._run = tools, run
        self._decides = not tools.settings.iter8.decides
        self.rules = rules_of(tools, run)
        self.progress = progress.of(tools, run.name)

    def until_verdict(self, show: Show) -> Rollout:
        """The rollout with its verdict: the one that was reached before, or the one that is watched now."""
        rollout = self.progress.rollout
        if rollout and rollout.verdict:
            return rollout
        rollout = unless_void(self._tools, self._run, rollout or Rollout(weight=0))
        if rollout.verdict:
            return rollout
        rollout = self.progress.rollout or start(self.rules, running=self._live().percent)
        evidence = Evidence(self._tools, self._run, self.rules, self.progress)
        if self._decides:
            report(self._tools, self._run, rollout)
        show(rollout)
        while not rollout.verdict:
            rollout = self._after_a_window(rollout, evidence)
            show(rollout)
        return rollout

    def _after_a_window(self, rollout: Rollout, evidence: Evidence) -> Rollout:
        weight = self._prepared(rollout)
        evidence.open()
        time.sleep(self._tools.settings.iter8.interval_seconds)
        window = evidence.close(len(rollout.windows) + 1, weight, self._disturbance(weight))
        after = self._decided(rollout, window)
        progress.keep(self._tools, self._run.name, after, evidence.log_position)
        if self._decides and not after.verdict:
            report(self._tools, self._run, after)
        return after

    def _prepared(self, rollout: Rollout) -> int:
        """Give the canary the share of the coming window, unless Iter8's controller does; returns what it has."""
        live = self._live()
        if not self._decides:
            return live.percent
        if live.percent != rollout.weight:
            canary = self._run.canary
            champion, candidate = (
                canary.deployment(each, self._tools.context.key) for each in (canary.champion, canary.challenger)
            )
            self._tools.kserve.canaries.shift(champion, Canary(candidate, rollout.weight, canary.injected))
            self._tools.context.effect("weight", champion.place, version=candidate.version, percent=rollout.weight)
        return rollout.weight

    def _decided(self, rollout: Rollout, window: Window) -> Rollout:
        document = progress.of(self._tools, self._run.name).document
        if self._decides:
            self._refuse_another_decider(document)
            return advance(rollout, window, self.rules)
        recommended = self._tools.iter8.recommendation(document)
        return follow(rollout, window, self.rules, recommended, self._run.canary.challenger.arm)

    def _refuse_another_decider(self, document: dict[str, object]) -> None:
        if self._tools.iter8.is_driven_by_another(document):
            raise StepFailed(
                f"Another program writes the status of Experiment {self._run.name}: an Iter8 controller runs here.",
                "Set iter8.decides: true, so that its recommendation is followed; or stop it.",
            )

    def _disturbance(self, weight: int) -> str:
        live = self._live()
        if live.percent != weight and self._decides:
            log.warning("somebody changed the canary's share; it is put back", share=live.percent, ours=weight)
            return f"Somebody set the canary to {live.percent} % during this window."
        return ""

    def _live(self) -> "LiveCanary":
        """The canary as it is served. Raises StepFailed where it is not there any more."""
        canary = self._run.canary
        live = self._tools.kserve.canaries.live(canary.namespace, canary.service)
        if live is None or live.uri != canary.challenger.uri:
            there = self._tools.kserve.live(canary.namespace, canary.service) is not None
            what = f"has no canary {canary.challenger.arm} any more" if there else "was deleted"
            raise StepFailed(
                f"InferenceService {canary.namespace}/{canary.service} {what}, while {self._run.name} watched it.",
                "Run UC1's last step if nothing is served, then UC2 again: it goes on where it was.",
            )
        return live
