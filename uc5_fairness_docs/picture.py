"""One picture of the analysis: every group's rates with intervals, champion beside challenger, as PNG bytes."""

import io
from typing import Any

COLOURS = ("#2563eb", "#d97706")
INK, PALE = "#1f2933", "#cbd5e1"
SHOWN = {"selection_rate": "share of yes", "true_positive_rate": "hit rate", "false_positive_rate": "false alarm rate"}


def draw(analysis: dict[str, Any]) -> bytes:
    """A column for each rate, a row for each group. The same analysis gives the same picture."""
    # The object interface, not pyplot: no global state, no display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = [name for name, crossed in analysis["slices"].items() if len(crossed) == 1]
    groups = [(column, place) for column in columns for place in range(len(analysis["models"][0]["slices"][column]))]
    figure = Figure(figsize=(9, 1.6 + 0.34 * max(len(groups), 1)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(SHOWN), sharey=True)
    for axis, rate in zip(axes, SHOWN, strict=True):
        _rate(axis, analysis, groups, rate)
    axes[0].set_yticks(range(len(groups)), [_named(analysis, *each) for each in groups])
    axes[0].invert_yaxis()
    handles, names = axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    written = io.BytesIO()
    figure.savefig(written, format="png", metadata={"Software": None})
    return written.getvalue()


def _named(analysis: dict[str, Any], column: str, place: int) -> str:
    group = analysis["models"][0]["slices"][column][place]
    small = ", small" if group["rows"] < analysis["small"] else ""
    return f"{column}: {group['name']}  ({group['rows']:,}{small})"


def _rate(axis: Any, analysis: dict[str, Any], groups: list[tuple[str, int]], rate: str) -> None:
    for number, model in enumerate(analysis["models"]):
        points = [_point(analysis, model, *each, rate) for each in groups]
        middle = [value for value, _, _ in points]
        ends = [[v - low for v, low, _ in points], [high - v for v, _, high in points]]
        places = [place + (number - 0.5) * 0.24 for place in range(len(groups))]
        axis.errorbar(
            middle, places, xerr=ends, fmt="o", color=COLOURS[number], markersize=4, linewidth=1.4,
            label=f"{model['role']} v{model['version']}",
        )  # fmt: skip
    axis.set_title(SHOWN[rate], fontsize=10, color=INK)
    axis.grid(axis="x", color=PALE, linewidth=0.6)
    axis.set_xlim(0, None)
    axis.tick_params(labelsize=9)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)


def _point(analysis: dict[str, Any], model: dict[str, Any], column: str, place: int, rate: str) -> tuple[float, ...]:
    from churn.sliced import counts_at

    counted = counts_at(model["slices"][column][place], model["threshold"])
    low, high = counted.interval(rate, analysis["confidence"])
    value = counted.rate(rate)
    return (value, min(low, value), max(high, value))
