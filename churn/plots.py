"""Four pictures of an evaluation, as PNG bytes: the same evaluation gives the same picture."""

import io
from typing import Any

from churn.evaluation import Evaluation

INK, ACCENT, PALE = "#1f2933", "#2563eb", "#cbd5e1"


def draw_all(evaluation: Evaluation, title: str) -> dict[str, bytes]:
    """Return PNG bytes by file name: ROC curve, calibration curve, confusion matrix, importance."""
    drawings = {
        "roc.png": _roc, "calibration.png": _calibration,
        "confusion_matrix.png": _confusion, "importance.png": _importance,
    }  # fmt: skip
    return {name: _png(draw, evaluation, title) for name, draw in drawings.items()}


def _png(draw: Any, evaluation: Evaluation, title: str) -> bytes:
    # The object interface, not pyplot: no global state, no display, no font search for a window.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 3.6), dpi=90, layout="tight")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes, evaluation)
    axes.set_title(title, fontsize=10, color=INK)
    written = io.BytesIO()
    figure.savefig(written, format="png", metadata={"Software": None})
    return written.getvalue()


def _roc(axes: Any, evaluation: Evaluation) -> None:
    low, high = evaluation.intervals["roc_auc"]
    axes.plot([0, 1], [0, 1], color=PALE, linestyle="--")
    axes.plot(*zip(*evaluation.roc, strict=True), color=ACCENT)
    axes.set_xlabel("false positive rate")
    axes.set_ylabel(f"true positive rate (AUC {evaluation.metrics['roc_auc']:.3f}, {low:.3f} to {high:.3f})")


def _calibration(axes: Any, evaluation: Evaluation) -> None:
    axes.plot([0, 1], [0, 1], color=PALE, linestyle="--")
    axes.plot(evaluation.calibration.predicted, evaluation.calibration.observed, color=ACCENT, marker="o")
    axes.set_xlabel("predicted probability")
    axes.set_ylabel(f"share that came true (Brier {evaluation.metrics['brier']:.3f})")


def _confusion(axes: Any, evaluation: Evaluation) -> None:
    counts = evaluation.confusion
    cells = [
        [counts["true_negative"], counts["false_positive"]],
        [counts["false_negative"], counts["true_positive"]],
    ]
    axes.imshow(cells, cmap="Blues")
    middle = max(max(row) for row in cells) / 2
    for row, values in enumerate(cells):
        for column, count in enumerate(values):
            axes.text(column, row, f"{count:,}", ha="center", va="center", color="white" if count > middle else INK)
    axes.set_xticks([0, 1], ["predicted no", "predicted yes"])
    axes.set_yticks([0, 1], ["no", "yes"])


def _importance(axes: Any, evaluation: Evaluation) -> None:
    shown = list(evaluation.importance.items())[:15][::-1]
    axes.barh([name for name, _ in shown], [drop for _, drop in shown], color=ACCENT)
    axes.set_xlabel("fall of ROC AUC when shuffled")
