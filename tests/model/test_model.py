"""The two models: same data, same bytes; and ONNX says what scikit-learn says, for whatever comes in."""

import subprocess
import sys

import numpy as np
import onnx
import pandas as pd
import pytest
import skops.io

from churn import model
from churn.customers import UnfitForTraining, holdout_mask
from churn.features import MISSING_CATEGORY, FeatureColumns, as_features, as_labels
from tests.model.people import CATEGORICAL, ENTITY, LABEL, NUMERIC, subscribers

COLUMNS = FeatureColumns(NUMERIC, CATEGORICAL)


def learned(algorithm: str, frame: pd.DataFrame) -> tuple[object, pd.DataFrame]:
    held = holdout_mask(frame[ENTITY], share=0.2, seed=42)
    features, labels = as_features(frame, COLUMNS), as_labels(frame[LABEL], "Ja")
    return model.fit(algorithm, features[~held], labels[~held], COLUMNS, seed=42), features[held]


@pytest.mark.parametrize("algorithm", model.ALGORITHMS)
def test_onnx_answers_as_scikit_learn_on_every_row_of_the_holdout(algorithm: str) -> None:
    fitted, held = learned(algorithm, subscribers(5000))
    answers = model.onnx_probabilities(model.session(model.to_onnx(fitted, COLUMNS)), held)
    assert held["Umsatz €"].isna().any()
    assert (held["Tarif"] == MISSING_CATEGORY).any()
    assert model.largest_difference(model.probabilities(fitted, held), answers) <= 1e-6


@pytest.mark.parametrize("algorithm", model.ALGORITHMS)
def test_onnx_answers_as_scikit_learn_for_unseen_categories_and_rows_of_nothing_but_nulls(algorithm: str) -> None:
    fitted, held = learned(algorithm, subscribers())
    strange = held.head(4).assign(Tarif=["nie gesehen", MISSING_CATEGORY, "klein", "日本"])
    strange[list(NUMERIC)] = np.float32("nan")
    answers = model.onnx_probabilities(model.session(model.to_onnx(fitted, COLUMNS)), strange)
    assert model.largest_difference(model.probabilities(fitted, strange), answers) <= 1e-6
    assert ((answers > 0) & (answers < 1)).all()


@pytest.mark.parametrize("algorithm", model.ALGORITHMS)
def test_a_column_that_is_never_known_in_training_still_converts_and_answers(algorithm: str) -> None:
    fitted, held = learned(algorithm, subscribers().assign(Alter=np.nan))
    answers = model.onnx_probabilities(model.session(model.to_onnx(fitted, COLUMNS)), held)
    assert model.largest_difference(model.probabilities(fitted, held), answers) <= 1e-6


BYTES = """
import hashlib
from churn import model
from tests.model.test_model import COLUMNS, learned, subscribers
for algorithm in model.ALGORITHMS:
    print(hashlib.sha256(model.to_onnx(learned(algorithm, subscribers())[0], COLUMNS)).hexdigest())
"""


@pytest.mark.deep
def test_every_process_makes_the_same_bytes_of_the_same_data() -> None:
    runs = [
        subprocess.run([sys.executable, "-c", BYTES], capture_output=True, text=True, check=True, timeout=120)
        for _ in range(2)
    ]
    digests = [run.stdout.split() for run in runs]
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == len(model.ALGORITHMS)


def test_operator_sets_are_listed_in_one_order_whatever_order_a_set_has_in_this_process() -> None:
    graph = onnx.load_from_string(model.to_onnx(learned("logistic_regression", subscribers())[0], COLUMNS))
    assert [each.domain for each in graph.opset_import] == ["", "ai.onnx.ml"]


@pytest.mark.parametrize("algorithm", model.ALGORITHMS)
def test_a_saved_model_holds_no_type_outside_the_allow_list(algorithm: str) -> None:
    fitted, held = learned(algorithm, subscribers())
    saved = skops.io.dumps(fitted)
    assert set(skops.io.get_untrusted_types(data=saved)) <= set(model.TRUSTED_TYPES)
    loaded = skops.io.loads(saved, trusted=list(model.TRUSTED_TYPES))
    assert (model.probabilities(loaded, held) == model.probabilities(fitted, held)).all()


def test_inputs_are_called_as_the_columns_are_and_a_column_called_like_an_output_is_refused() -> None:
    fitted, _ = learned("gradient_boosting", subscribers())
    inputs = {part.name: part.type for part in model.session(model.to_onnx(fitted, COLUMNS)).get_inputs()}
    assert inputs == {**dict.fromkeys(NUMERIC, "tensor(float)"), "Tarif": "tensor(string)"}
    with pytest.raises(UnfitForTraining, match="probabilities"):
        model.to_onnx(fitted, FeatureColumns(("probabilities",), ()))


def test_an_answer_that_is_no_number_counts_as_infinitely_far() -> None:
    assert model.largest_difference(np.array([0.1, np.nan]), np.array([0.1, 0.2])) == float("inf")


def test_an_unknown_algorithm_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="gradient_boosting"):
        model.fit("magic", subscribers(), np.array([], dtype=np.int8), COLUMNS, seed=1)
