"""Faults that were asked for by the environment variable FAULTS, so that a canary can be seen to be rolled back.

Golden predictions are not spared. Where no fault is asked for, nothing of this is on the way of a request.
"""

import asyncio
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from common.faults import Faults
from common.logger import get_logger
from serving.artefact import Artefact
from serving.middleware import App, Receive, Scope, Send, answer, is_prediction

if TYPE_CHECKING:
    import numpy as np

log = get_logger(__name__)


class Share:
    """Picks a share of what passes, evenly: of any n in a row, n times the share, up to one."""

    def __init__(self, share: float) -> None:
        self._share, self._seen = share, 0

    def picked(self, count: int) -> "np.ndarray":
        """For each of the next `count`, whether it is picked."""
        import numpy as np

        until = np.floor(np.arange(self._seen, self._seen + count + 1) * self._share)
        self._seen += count
        chosen: np.ndarray = np.diff(until) > 0
        return chosen


class FaultyRequests:
    """Delays predictions and fails a share of them, below the layer that counts, times and logs them."""

    def __init__(self, app: App, faults: Faults) -> None:
        self._app, self._seconds, self._errors = app, faults.latency_ms / 1000, Share(faults.errors)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_prediction(scope):
            await asyncio.sleep(self._seconds)
            if self._errors.picked(1)[0]:
                await answer(send, 500, "injected", [])
                return
        await self._app(scope, receive, send)


@dataclass(frozen=True)
class WrongArtefact(Artefact):
    """A model that says 1-p instead of p for a share of rows, to whoever asks and to the prediction log."""

    wrong: Share = field(default_factory=lambda: Share(0))

    def probabilities(self, columns: "dict[str, np.ndarray]") -> "np.ndarray":
        """As the model's own, some of them turned."""
        import numpy as np

        scores = super().probabilities(columns)
        return np.where(self.wrong.picked(len(scores)), 1 - scores, scores)


def sabotaged(model: Artefact, faults: Faults) -> Artefact:
    """The model, or one that errs as often as asked for. Faults of any kind are said in the log."""
    if faults != Faults():
        log.warning("faults are injected on purpose", **asdict(faults))
    return WrongArtefact(model.digest, model.schema, model.session, Share(faults.wrong)) if faults.wrong else model
