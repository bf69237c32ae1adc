"""The experiment as it goes: a table that changes in place on a terminal, else a line of JSON for each window."""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from churn.rollout import Rollout
from common.logger import get_logger
from uc2_ab_testing.results import ExperimentRun
from uc2_ab_testing.shown import MARKS, TIMELINE, timeline_row

if TYPE_CHECKING:
    from rich.table import Table

Show = Callable[[Rollout], None]
WINDOWS_SHOWN = 12
log = get_logger(__name__)


@contextlib.contextmanager
def progress_shown(run: ExperimentRun) -> Iterator[Show]:
    """A function that shows how far the rollout is."""
    wanted = logging.getLogger(__name__).isEnabledFor(logging.INFO)
    if not (wanted and sys.stderr.isatty()):
        yield log_window
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), auto_refresh=False) as live, _logs_above_it():
        yield lambda rollout: live.update(table_of(run, rollout), refresh=True)


def log_window(rollout: Rollout) -> None:
    """One line about the window that has just ended."""
    if rollout.windows:
        window = rollout.windows[-1]
        log.info(
            "window", number=window.number, weight=window.weight, champion=window.champion.model_dump(),
            canary=window.candidate.model_dump(), shadow=window.shadow.model_dump(), missing=window.missing,
            objectives={each.name: each.state for each in window.objectives}, next_weight=rollout.weight,
            verdict=rollout.verdict,
        )  # fmt: skip


def table_of(run: ExperimentRun, rollout: Rollout) -> "Table":
    """The last windows, what they say of each objective, and where the weight goes."""
    from rich.table import Table

    canary = run.canary
    table = Table(*TIMELINE[:-1], title=f"{canary.model_name}: {canary.challenger.arm} beside {canary.champion.arm}",
                  caption=caption_of(rollout), title_justify="left", caption_justify="left")  # fmt: skip
    for window in rollout.windows[-WINDOWS_SHOWN:]:
        table.add_row(*timeline_row(window)[:-1], style="red" if window.missing else "")
    return table


def caption_of(rollout: Rollout) -> str:
    """The objectives after the last window, and what follows."""
    if not rollout.windows:
        return f"canary at {rollout.weight} %"
    last = rollout.windows[-1]
    judged = "  ".join(
        f"{MARKS[each.state]} {each.name} {'-' if each.value is None else f'{each.value:.1%}'} (limit {each.limit:.1%})"
        for each in last.objectives
    )
    follows = f"{rollout.verdict}: {rollout.reason}" if rollout.verdict else f"canary at {rollout.weight} %"
    return f"{last.missing or judged}\n{follows}"


@contextlib.contextmanager
def _logs_above_it() -> Iterator[None]:
    """Let log lines appear above the table: while it is shown, rich stands in for stderr."""
    handlers = [each for each in logging.getLogger().handlers if isinstance(each, logging.StreamHandler)]
    before = [handler.setStream(sys.stderr) for handler in handlers]
    try:
        yield
    finally:
        for handler, stream in zip(handlers, before, strict=True):
            if stream is not None:
                handler.setStream(stream)
