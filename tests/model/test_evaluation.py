"""Metrics agree with scikit-learn, intervals cover, and a picture is the same picture twice."""

import numpy as np
import pytest
from sklearn import metrics

from churn import evaluation, model, plots
from tests.model.test_model import learned, subscribers


def drawn(rows: int, seed: int = 3, decimals: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.random(rows)
    predicted = np.clip(truth + random.normal(0, 0.2, rows), 0.001, 0.999)
    labels = (random.random(rows) < truth).astype(np.int8)
    return labels, predicted if decimals is None else predicted.round(decimals)


@pytest.mark.parametrize("decimals", [None, 2, 1], ids=["no ties", "ties", "many ties"])
def test_every_metric_is_scikit_learns(decimals: int | None) -> None:
    labels, predicted = drawn(2000, decimals=decimals)
    found, chosen = evaluation.measure(labels, predicted), predicted >= 0.5
    expected = {
        "roc_auc": metrics.roc_auc_score(labels, predicted),
        "pr_auc": metrics.average_precision_score(labels, predicted),
        "brier": metrics.brier_score_loss(labels, predicted),
        "log_loss": metrics.log_loss(labels, np.clip(predicted, 1e-15, 1 - 1e-15)),
        "accuracy": metrics.accuracy_score(labels, chosen),
        "f1": metrics.f1_score(labels, chosen),
    }
    assert found == pytest.approx(expected, abs=1e-9)


def test_one_class_only_has_no_area_and_says_so_with_nan() -> None:
    assert np.isnan(evaluation.measure(np.zeros(100, dtype=np.int8), np.linspace(0, 1, 100))["roc_auc"])


def test_intervals_hold_the_estimate_narrow_with_rows_and_repeat_with_the_seed() -> None:
    few, many = drawn(500), drawn(8000)
    wide, narrow = evaluation.intervals(*few, seed=7), evaluation.intervals(*many, seed=7)
    for name, (low, high) in wide.items():
        assert low <= evaluation.measure(*few)[name] <= high
        assert narrow[name][1] - narrow[name][0] < high - low
    assert evaluation.intervals(*few, seed=7) == wide
    assert evaluation.intervals(*few, seed=8) != wide


def test_an_interval_of_95_percent_holds_the_true_area_about_that_often() -> None:
    true_area = evaluation.measure(*drawn(400_000, seed=99))["roc_auc"]
    ends = [evaluation.intervals(*drawn(400, seed=seed), seed=1)["roc_auc"] for seed in range(60)]
    assert 50 <= sum(low <= true_area <= high for low, high in ends) <= 60


def test_confusion_calibration_and_roc_curve_are_counted_right() -> None:
    labels, predicted = drawn(1000)
    counts = evaluation.confusion(labels, predicted)
    (tn, fp), (fn, tp) = metrics.confusion_matrix(labels, predicted >= 0.5)
    assert (counts["true_negative"], counts["false_positive"]) == (tn, fp)
    assert (counts["false_negative"], counts["true_positive"]) == (fn, tp)
    curve = evaluation.calibration(labels, predicted)
    assert sum(curve.rows) == 1000
    assert list(curve.predicted) == sorted(curve.predicted)
    rates = np.array(evaluation.roc_curve(labels, predicted, points=1001))
    assert np.trapezoid(rates[:, 1], rates[:, 0]) == pytest.approx(metrics.roc_auc_score(labels, predicted), abs=2e-3)


def test_importance_names_the_column_that_decides_first_and_a_picture_is_drawn_alike_twice() -> None:
    frame = subscribers(3000)
    fitted, held = learned("gradient_boosting", frame)
    labels = (frame.loc[held.index, "gekündigt?"] == "Ja").to_numpy(dtype=np.int8)
    scorer = model.session(model.to_onnx(fitted, evaluation_columns()))
    found = evaluation.evaluate(scorer, held, labels, seed=1)
    assert next(iter(found.importance)) == "select"
    assert abs(found.importance["Umsatz €"]) < 0.05
    pictures = plots.draw_all(found, "trees")
    assert pictures == plots.draw_all(found, "trees")
    assert all(png.startswith(b"\x89PNG") for png in pictures.values())


def evaluation_columns() -> object:
    from tests.model.test_model import COLUMNS

    return COLUMNS
