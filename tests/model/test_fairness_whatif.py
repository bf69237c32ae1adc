"""Counterfactuals, partial dependence, and the model as data for a page."""

import numpy as np
import pandas as pd
import pytest

from churn import counterfactual
from churn.features import FeatureColumns, as_features
from churn.model import onnx_probabilities, session
from churn.portable import NotPortable, portable
from tests.uc2.world import COLUMNS, people, trained

SMALL = FeatureColumns(("age", "spend"), ("region",))


def frame(*rows: tuple[float, float, str]) -> pd.DataFrame:
    return as_features(pd.DataFrame(rows, columns=["age", "spend", "region"]), SMALL)


def test_the_nearest_counterfactual_is_the_nearest_of_those_decided_otherwise() -> None:
    features = frame((30, 10, "north"), (31, 10, "north"), (33, 11, "north"), (31, 10, "west"), (70, 90, "north"))
    chosen = np.array([False, False, True, True, True])
    assert counterfactual.nearest_opposite(features, SMALL, chosen, [0, 4]) == [2, 1]


def test_where_everybody_is_decided_alike_nobody_is_the_nearest() -> None:
    features = frame((30, 10, "north"), (31, 10, "north"))
    assert counterfactual.nearest_opposite(features, SMALL, np.array([True, True]), [0]) == [None]


def test_a_missing_number_is_near_to_a_missing_one_and_far_from_a_known_one() -> None:
    features = frame((30, float("nan"), "north"), (30, 50, "north"), (31, float("nan"), "north"), (80, 9, "west"))
    assert counterfactual.nearest_opposite(features, SMALL, np.array([False, True, True, False]), [0]) == [2]


@pytest.mark.parametrize("number", [0, 1])
def test_partial_dependence_is_the_mean_answer_with_the_column_set(number: int) -> None:
    scorer = session(trained()[number].files["model.onnx"])
    features = as_features(people().head(50), COLUMNS)
    found = counterfactual.partial_dependence(scorer, features, COLUMNS, {"age": [20.0, 60.0], "contract": ["monthly"]})
    assert found["age"][1] == pytest.approx(onnx_probabilities(scorer, features.assign(age=np.float32(60))).mean())
    assert found["contract"] == [pytest.approx(onnx_probabilities(scorer, features.assign(contract="monthly")).mean())]


def test_cases_are_drawn_by_seed_and_hold_wrong_decisions() -> None:
    random = np.random.default_rng(1)
    labels, scores = (random.random(500) < 0.3).astype(np.int8), random.random(500)
    picked = counterfactual.cases(labels, scores, threshold=0.5, count=30, seed=7)
    assert picked == counterfactual.cases(labels, scores, threshold=0.5, count=30, seed=7)
    assert len(set(picked)) == 30
    assert ((scores[picked] >= 0.5) != (labels[picked] == 1)).sum() >= 10


def test_an_operator_that_the_page_does_not_know_is_named() -> None:
    import onnx

    graph = onnx.load_from_string(trained()[0].files["model.onnx"])
    graph.graph.node[0].op_type = "Gelu"
    with pytest.raises(NotPortable, match="Gelu"):
        portable(graph.SerializeToString())
