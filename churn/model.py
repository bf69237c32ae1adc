"""The two models and their form for serving: same data, same seed, same bytes.

`logistic_regression` is the baseline (impute, scale, one-hot); `gradient_boosting` is histogram gradient
boosting, which takes missing numbers as they are. Both become one ONNX graph with their preprocessing inside:
one input per column, outputs `label` and `probabilities`.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from churn.customers import IntArray, UnfitForTraining
from churn.features import FeatureColumns

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

ALGORITHMS = ("logistic_regression", "gradient_boosting")
TARGET_OPSET = {"": 18, "ai.onnx.ml": 3}
OUTPUTS = ("label", "probabilities")
TOLERANCE = 1e-5  # how far ONNX may be from scikit-learn, in probability
Probabilities = npt.NDArray[np.float64]
Ordered = Mapping[str, Sequence[str]]  # categorical columns whose values have an order, lowest first

# What a saved model may contain beside the types that skops knows to be safe: nothing else is ever loaded.
TRUSTED_TYPES = ("numpy.dtype", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor")


def fit(
    algorithm: str,
    features: pd.DataFrame,
    labels: IntArray,
    columns: FeatureColumns,
    *,
    seed: int,
    ordered: Ordered | None = None,
) -> Any:  # a scikit-learn Pipeline
    """Train `algorithm` on `features` of churn.features.as_features. One thread: sums are added in one order.

    A categorical column that is `ordered` is learned from by the place of its value in the list; a value that is not
    in the list counts as not known.
    """
    from sklearn.pipeline import Pipeline
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    # A column that nobody filled in stays an input of the model, and has no say in it.
    known = FeatureColumns(tuple(c for c in columns.numeric if features[c].notna().any()), columns.categorical)
    preprocessing, estimator = _parts(algorithm, known, seed, ordered or {})
    with threadpool_limits(1):
        fitted = Pipeline([("columns", preprocessing), ("model", estimator)]).fit(features, labels)
    _round_thresholds(fitted.named_steps["model"])
    return fitted


def _round_thresholds(estimator: Any) -> None:
    """Let trees split at numbers that ONNX can hold, which answers no float32 number differently.

    A split lies half way between two values, as a double; the nearest float32 may be a value of the other side.
    """
    for (tree,) in getattr(estimator, "_predictors", ()):
        exact = tree.nodes["num_threshold"]
        nearest = exact.astype(np.float32)
        below = np.nextafter(nearest, np.float32("-inf"))
        tree.nodes["num_threshold"] = np.where(nearest.astype(np.float64) > exact, below, nearest)


def _parts(algorithm: str, columns: FeatureColumns, seed: int, ordered: Ordered) -> tuple[Any, Any]:
    if algorithm == "logistic_regression":
        return _baseline(columns, seed, ordered)
    if algorithm == "gradient_boosting":
        return _boosted_trees(columns, seed, ordered)
    raise ValueError(f"There is no algorithm {algorithm!r}; there are {', '.join(ALGORITHMS)}.")


def _baseline(columns: FeatureColumns, seed: int, ordered: Ordered) -> tuple[Any, Any]:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    numbers = Pipeline([("impute", SimpleImputer(strategy="median")), ("scale", StandardScaler())])
    places = ("impute", SimpleImputer(strategy="median", keep_empty_features=True)), ("scale", StandardScaler())
    return _by_kind(columns, numbers, ordered, places), LogisticRegression(max_iter=1000, random_state=seed)


def _boosted_trees(columns: FeatureColumns, seed: int, ordered: Ordered) -> tuple[Any, Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    # No early stopping: its random split would make the trees depend on the order of the rows.
    trees = HistGradientBoostingClassifier(
        learning_rate=0.08, max_iter=150, max_leaf_nodes=15, min_samples_leaf=20, l2_regularization=1.0,
        early_stopping=False, random_state=seed,
    )  # fmt: skip
    return _by_kind(columns, "passthrough", ordered, ()), trees


def _by_kind(columns: FeatureColumns, numbers: Any, ordered: Ordered, places: tuple[Any, ...]) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OneHotEncoder

    categories = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
    parts = [
        ("numeric", numbers, list(columns.numeric)),
        ("categorical", categories, [name for name in columns.categorical if name not in ordered]),
        *_ordered_parts(columns, ordered, places),
    ]
    return ColumnTransformer([part for part in parts if part[2]], remainder="drop")


def _ordered_parts(columns: FeatureColumns, ordered: Ordered, places: tuple[Any, ...]) -> list[Any]:
    """A column becomes the place of its value in the list, and NaN for what is not in it."""
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    names = [name for name in columns.categorical if name in ordered]
    if not names:
        return []
    encoder = OrdinalEncoder(
        categories=[list(ordered[name]) for name in names], handle_unknown="use_encoded_value",
        unknown_value=np.nan, dtype=np.float32,
    )  # fmt: skip
    return [("ordered", Pipeline([("place", encoder), *places]), names)]


def probabilities(model: Any, features: pd.DataFrame) -> Probabilities:
    """Return the probability of the positive class, per row: the oracle that every other form is held against."""
    return np.asarray(model.predict_proba(features)[:, 1], dtype=np.float64)


def to_onnx(model: Any, columns: FeatureColumns) -> bytes:
    """Return the model with its preprocessing as ONNX, an input per column: the digest of these bytes names the model.

    Raises UnfitForTraining for columns that are called like the graph's own outputs.
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    taken = [name for name in OUTPUTS if name in columns.names]
    if taken:
        raise UnfitForTraining(f"A feature may not be called {taken[0]!r}: the served model answers by that name.")
    inputs = [(name, FloatTensorType([None, 1])) for name in columns.numeric]
    inputs += [(name, StringTensorType([None, 1])) for name in columns.categorical]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Field onnx.AttributeProto.ints", DeprecationWarning)  # skl2onnx's own
        graph = convert_sklearn(
            model, name="churn", initial_types=inputs, options={id(model): {"zipmap": False}}, target_opset=TARGET_OPSET
        )
    _restore_names(graph.graph, columns.names)
    _sort(graph.opset_import)  # skl2onnx lists them in the order of a set, another one in each process
    return bytes(graph.SerializeToString(deterministic=True))


def _sort(imports: Any) -> None:
    ordered = sorted((each.domain, each.version) for each in imports)
    for each, (domain, version) in zip(imports, ordered, strict=True):
        each.domain, each.version = domain, version


def _restore_names(graph: Any, names: tuple[str, ...]) -> None:
    """Call the inputs what the columns are called; skl2onnx replaces what is no letter, digit or underscore."""
    inner = {value for node in graph.node for value in node.output} | {each.name for each in graph.initializer}
    inner -= set(OUTPUTS)
    renamed = {value: f"inner/{value}" for value in inner}  # so that no column can collide with one
    renamed |= {part.name: name for part, name in zip(graph.input, names, strict=True)}
    for node in graph.node:
        node.input[:] = [renamed.get(value, value) for value in node.input]
        node.output[:] = [renamed.get(value, value) for value in node.output]
    for part in (*graph.input, *graph.initializer):
        part.name = renamed[part.name]


def session(onnx: bytes) -> "InferenceSession":
    """Open ONNX bytes for scoring, with one thread: more of them only spin on a shared machine."""
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return InferenceSession(onnx, options, providers=["CPUExecutionProvider"])


def onnx_probabilities(scorer: "InferenceSession", features: pd.DataFrame) -> Probabilities:
    """Return the probability of the positive class as the served model will answer it."""
    inputs = {part.name: features[part.name].to_numpy().reshape(-1, 1) for part in scorer.get_inputs()}
    answer = scorer.run(["probabilities"], inputs)[0]
    return np.asarray(answer[:, 1], dtype=np.float64)


def largest_difference(left: Probabilities, right: Probabilities) -> float:
    """Return the largest distance between two models' answers; NaN anywhere counts as infinitely far."""
    distances = np.abs(left - right)
    return float("inf") if np.isnan(distances).any() else float(distances.max(initial=0.0))
