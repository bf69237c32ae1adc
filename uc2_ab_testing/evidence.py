"""What a window of the experiment showed, from everywhere that it is seen: metrics, prediction log, conversions."""

import time
from typing import TYPE_CHECKING, Any

from churn.objectives import Rules, Window
from churn.rollout import observed
from churn.windows import Reward, Shadow, between, latest
from common.errors import DeadlineExceeded, InvalidData, Unavailable
from common.logger import get_logger
from uc2_ab_testing.results import ExperimentRun
from uc2_ab_testing.shadow import ShadowScores

if TYPE_CHECKING:
    from churn.windows import Sample
    from common.tools import Tools
    from uc2_ab_testing.progress import Progress

NOBODY = Reward(champion_users=0, champion_conversions=0, candidate_users=0, candidate_conversions=0)
log = get_logger(__name__)


def rules_of(tools: "Tools", run: ExperimentRun) -> Rules:
    """What the canary must keep to, by the configuration, and what was expected of it on the hold-out."""
    uc2 = tools.settings.uc2
    return Rules(
        ladder=uc2.ladder, min_requests=uc2.min_requests, max_windows=tools.settings.iter8.max_windows,
        confidence=uc2.confidence, shadow=uc2.shadow_share > 0, reward=bool(uc2.reward.query),
        expected_disagreement=run.expected_disagreement, **uc2.objectives.model_dump(),
    )  # fmt: skip


class Evidence:
    """Looks at the arms of one experiment, window by window."""

    def __init__(self, tools: "Tools", run: ExperimentRun, rules: Rules, progress: "Progress") -> None:
        self._tools, self._run, self._rules = tools, run, rules
        self._shadow = ShadowScores(tools, run, progress.since, progress.log) if rules.shadow else None
        self._since = progress.since
        self._before: tuple[Sample, ...] = ()
        self.open()

    @property
    def log_position(self) -> dict[str, Any]:
        """Where shadow scoring stands in the prediction log."""
        return self._shadow.position if self._shadow else {}

    def open(self) -> None:
        """Begin a window: what came before does not count."""
        now, self._trouble = self._read()
        self._before = latest(self._before, now)  # who did not answer is known by what it said earlier
        self._began = time.monotonic()

    def close(self, number: int, weight: int, disturbance: str = "") -> Window:
        """End the window. What could not be read, or was disturbed, is said in it: it is evidence of nothing good."""
        after, trouble = self._read()
        canary = self._run.canary
        return observed(
            number, weight, time.monotonic() - self._began,
            between(self._before, after, self._rules.latency_p95_ms), canary.champion.arm, canary.challenger.arm,
            shadow=self._shadow.take() if self._shadow else Shadow(), reward=self._reward(),
            trouble=disturbance or self._trouble or trouble,
        )  # fmt: skip

    def _read(self) -> "tuple[tuple[Sample, ...], str]":
        canary = self._run.canary
        try:
            return self._tools.prometheus.read(canary.namespace, canary.service), ""
        except Unavailable as error:  # an experiment outlives its metrics; without any it promotes nobody
            log.warning("no metrics", cause=error.message)
            return (), error.message

    def _reward(self) -> Reward | None:
        if not self._rules.reward:
            return None
        import sqlalchemy as sa

        query = sa.text(self._tools.settings.uc2.reward.query)
        try:
            rows = self._tools.postgres.rows(query, {"since": self._since})
        except (Unavailable, DeadlineExceeded) as error:  # as for metrics: nobody was counted, so nothing is judged
            log.warning("no conversions", cause=error.message)
            return NOBODY
        return reward_of([tuple(row) for row in rows], self._run)


def reward_of(rows: list[tuple[Any, ...]], run: ExperimentRun) -> Reward:
    """Users and conversions of both arms, from rows of version, users, conversions. Raises InvalidData for others."""
    try:
        counted = {f"v{str(version).lstrip('v')}": (int(users), int(paid)) for version, users, paid in rows}
    except (TypeError, ValueError) as error:
        raise InvalidData("uc2.reward.query must return version, users, conversions.", str(error)) from error
    champion = counted.get(run.canary.champion.arm, (0, 0))
    candidate = counted.get(run.canary.challenger.arm, (0, 0))
    return Reward(
        champion_users=champion[0], champion_conversions=champion[1],
        candidate_users=candidate[0], candidate_conversions=candidate[1],
    )  # fmt: skip
