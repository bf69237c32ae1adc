"""A rollout as a picture, as PNG bytes: what the canary got, and how it kept to each objective, window by window."""

import io
import math
from typing import Any

from churn.judging import refused_beyond, refusing_champion
from churn.objectives import Window
from churn.plots import ACCENT, INK, PALE
from churn.rollout import Rollout, Rules

LIMIT = "#dc2626"
COLOURS = {"promoted": "#15803d", "rolled back": LIMIT, "undecided": "#b45309", "": INK}


def draw_rollout(rollout: Rollout, rules: Rules) -> bytes:
    """Draw weight, p95, error rate and disagreement of both arms over the windows. No windows, no lines."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7.5, 7.5), dpi=90, layout="tight")
    FigureCanvasAgg(figure)
    panels = figure.subplots(4, 1, sharex=True)
    for panel, draw in zip(panels, (_weights, _latency, _errors, _disagreement), strict=True):
        draw(panel, rollout, rules)
        panel.set_ylim(bottom=0)
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("window")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    if rollout.windows:
        panels[-1].set_xlim(0.5, len(rollout.windows) + 1.0)
    panels[0].set_title(f"canary {rollout.verdict or 'under way'}", fontsize=11, color=COLOURS[rollout.verdict])
    written = io.BytesIO()
    figure.savefig(written, format="png", metadata={"Software": None})
    return written.getvalue()


def _weights(axes: Any, rollout: Rollout, rules: Rules) -> None:
    """The last step is what the verdict made of the weight."""
    weights = [*(window.weight for window in rollout.windows), rollout.weight]
    axes.stairs(weights, [each + 0.5 for each in range(len(weights) + 1)], color=ACCENT, linewidth=2, baseline=None)
    missing = [window.number for window in rollout.windows if window.missing]
    for number in missing:
        axes.axvspan(number - 0.5, number + 0.5, color=PALE, zorder=0)
    axes.set_yticks(sorted({0, *rules.ladder}))
    axes.set_ylabel("weight, %\n(grey: no metrics)" if missing else "weight, %")


def _latency(axes: Any, rollout: Rollout, rules: Rules) -> None:
    champion, candidate = ([getattr(each, arm).p95_ms for each in rollout.windows] for arm in ("champion", "candidate"))
    _lines(axes, champion, candidate, rules.latency_p95_ms)
    axes.set_ylabel("p95, ms")
    axes.legend(fontsize=8, loc="lower right", bbox_to_anchor=(1, 0.95), ncols=3, frameon=False)


def _errors(axes: Any, rollout: Rollout, rules: Rules) -> None:
    champion = [_percent(each.champion.errors, each.champion.requests) for each in rollout.windows]
    candidate = [_percent(_failed(each, rollout), each.candidate.requests) for each in rollout.windows]
    _lines(axes, champion, candidate, 100 * rules.error_rate)
    axes.set_ylabel("errors, %")


def _failed(window: Window, rollout: Rollout) -> float:
    """As it is judged: with the refusals beyond the champion's share."""
    usual = refusing_champion(rollout.windows, window.weight)
    return window.candidate.errors + refused_beyond(window.candidate, usual)


def _disagreement(axes: Any, rollout: Rollout, rules: Rules) -> None:
    seen = [_percent(window.shadow.disagreeing, window.shadow.scored) for window in rollout.windows]
    _lines(axes, [], seen, 100 * (rules.expected_disagreement + rules.excess_disagreement))
    axes.set_ylabel("other decisions, %")


def _percent(count: float, of: int) -> float | None:
    return 100 * count / of if of else None


def _lines(axes: Any, champion: list[float | None], candidate: list[float | None], limit: float) -> None:
    for values, colour, name in ((champion, INK, "champion"), (candidate, ACCENT, "canary")):
        known = [math.nan if value is None else value for value in values]
        if known:
            axes.plot(range(1, len(known) + 1), known, color=colour, marker="o", markersize=3, label=name)
    axes.axhline(limit, color=LIMIT, linestyle="--", linewidth=1, label="limit")
