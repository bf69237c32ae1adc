"""Shadow scores: what the champion would have answered where the canary did, from the prediction log.

The canary's answers are taken as they were logged, so that a model server that answers wrongly is seen as well as a
model that does. Nobody waits for this: rows arrive in the log seconds after they were answered.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from churn.experiment import disagreement, selected
from churn.windows import Shadow
from common.prediction_log import PredictionLog

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from common.tools import Tools
    from uc2_ab_testing.results import ExperimentRun

LATE = timedelta(seconds=30)  # an upload that was slow appears in the listing below names that were already there
STAMP, STAMP_LENGTH = "%Y%m%dT%H%M%S%fZ", 22


class ShadowScores:
    """Reads the log from an instant on, each object once. `position` is what a later reader needs to go on."""

    def __init__(self, tools: "Tools", run: "ExperimentRun", since: datetime, position: dict[str, Any]) -> None:
        from uc2_ab_testing.scoring import scorer

        canary, kserve = run.canary, tools.settings.kserve
        self._share = tools.settings.uc2.shadow_share
        self._candidate, self._since = canary.challenger, since
        self._log = PredictionLog(
            tools.minio, f"{kserve.prediction_log_prefix}/{canary.namespace}/{canary.service}"
        )  # fmt: skip
        self._champion = scorer(tools.minio, canary.champion.uri, canary.champion.digest)
        self._after: str = position.get("after", f"{since:{STAMP}}")
        self._examined: set[str] = set(position.get("examined", ()))

    @property
    def position(self) -> dict[str, Any]:
        """From where on to list, and which of the objects there are known."""
        return {"after": self._after, "examined": sorted(self._examined)}

    def take(self) -> Shadow:
        """Score what was logged since the last time."""
        listed = self._log.since(self._after)
        new = [name for name in listed if name not in self._examined and self._candidate.arm in name]
        self._move(listed)
        rows = self._chosen(self._log.rows(new)) if new else None
        if rows is None or rows.empty:
            return Shadow()
        scores = self._champion.score(self._features(rows))
        return disagreement(rows["prediction"].to_numpy(), scores, self._champion.threshold)

    def _chosen(self, table: "pa.Table") -> "pd.DataFrame":
        """The canary's own answers, to a share of the requests."""
        rows = table.to_pandas()
        ours = rows[
            (rows["digest"] == self._candidate.digest) & (rows["status"] == 200) & ~rows["golden"]
            & (rows["event_time"] >= self._since)
        ]  # fmt: skip
        return ours[[selected(request, self._share) for request in ours["request_id"]]]

    def _features(self, rows: "pd.DataFrame") -> "pd.DataFrame":
        """The features under their own names; in the log, one that is called like a column of the log is renamed."""
        stored = {name: f"feature.{name}" for name in self._champion.columns.names if f"feature.{name}" in rows}
        wanted = [stored.get(name, name) for name in self._champion.columns.names]
        return rows[wanted].set_axis(list(self._champion.columns.names), axis="columns")

    def _move(self, listed: tuple[str, ...]) -> None:
        self._examined |= set(listed)
        if listed:
            newest = datetime.strptime(listed[-1][:STAMP_LENGTH], STAMP).replace(tzinfo=UTC)
            self._after = max(self._after, f"{newest - LATE:{STAMP}}")
        self._examined = {name for name in self._examined if name > self._after}
