"""A served model as plain data that a web page can evaluate: the same graph, operator by operator.

Only what churn.model makes is understood; anything else raises NotPortable, and the page does without.
"""

from typing import Any

import numpy as np

LEAF, BRANCH = b"LEAF", b"BRANCH_LEQ"


class NotPortable(ValueError):
    """The graph has something that the page cannot evaluate; the message says what."""


def portable(content: bytes) -> dict[str, Any]:
    """Return {"steps": [{"op", "in", "out", ...}]}, in order; the last step's answer is the probability of yes."""
    import onnx

    graph = onnx.load_from_string(content).graph
    return {"steps": [_step(node) for node in graph.node]}


def _step(node: Any) -> dict[str, Any]:
    makers = {
        "Concat": _nothing, "Reshape": _nothing, "Identity": _nothing, "Imputer": _imputer, "Scaler": _scaler,
        "OneHotEncoder": _one_hot, "LinearClassifier": _linear, "TreeEnsembleClassifier": _trees,
    }  # fmt: skip
    if node.op_type not in makers:
        raise NotPortable(f"the model has an operator {node.op_type}, which the page does not know")
    said = {attribute.name: attribute for attribute in node.attribute}
    inputs = [node.input[0]] if node.op_type == "Reshape" else list(node.input)
    return {"op": node.op_type, "in": inputs, "out": node.output[-1], **makers[node.op_type](said)}


def _nothing(_: dict[str, Any]) -> dict[str, Any]:
    return {}


def _imputer(said: dict[str, Any]) -> dict[str, Any]:
    return {"values": _short(said["imputed_value_floats"].floats)}


def _scaler(said: dict[str, Any]) -> dict[str, Any]:
    return {"offset": _short(said["offset"].floats), "scale": _short(said["scale"].floats)}


def _one_hot(said: dict[str, Any]) -> dict[str, Any]:
    return {"categories": [each.decode() for each in said["cats_strings"].strings]}


def _linear(said: dict[str, Any]) -> dict[str, Any]:
    coefficients, intercepts = list(said["coefficients"].floats), list(said["intercepts"].floats)
    if said["post_transform"].s != b"LOGISTIC" or len(intercepts) != 2:
        raise NotPortable("the model is linear, but no logistic one of two classes")
    return {"coefficients": _short(coefficients[len(coefficients) // 2 :]), "intercept": _short(intercepts)[1]}


def _trees(said: dict[str, Any]) -> dict[str, Any]:
    """Nodes of all trees in flat lists; a leaf has feature -1 and its weight for a value."""
    modes = list(said["nodes_modes"].strings)
    if said["post_transform"].s != b"LOGISTIC" or set(said["class_ids"].ints) - {0, 1} or set(modes) - {LEAF, BRANCH}:
        raise NotPortable("the trees are none of binary decisions by <=")
    if len(set(said["class_ids"].ints)) > 1:
        raise NotPortable("the trees weigh both classes")
    trees, nodes = list(said["nodes_treeids"].ints), list(said["nodes_nodeids"].ints)
    place = {key: number for number, key in enumerate(zip(trees, nodes, strict=True))}
    leaf = dict(zip(
        zip(said["class_treeids"].ints, said["class_nodeids"].ints, strict=True), said["class_weights"].floats,
        strict=True,
    ))  # fmt: skip
    is_leaf = [mode == LEAF for mode in modes]
    keys = list(place)
    values = [leaf.get(keys[n], 0.0) if is_leaf[n] else value for n, value in enumerate(said["nodes_values"].floats)]
    features = [-1 if is_leaf[n] else feature for n, feature in enumerate(said["nodes_featureids"].ints)]
    yes, no = (
        [0 if is_leaf[n] else place[(keys[n][0], child)] for n, child in enumerate(said[name].ints)]
        for name in ("nodes_truenodeids", "nodes_falsenodeids")
    )
    missing = said.get("nodes_missing_value_tracks_true")
    return {
        "feature": features, "value": _short(values), "yes": yes, "no": no,
        "missing": list(missing.ints) if missing else [0] * len(modes),
        "roots": [number for number, key in enumerate(keys) if number == 0 or key[0] != keys[number - 1][0]],
        "base": _short(said["base_values"].floats)[0] if "base_values" in said else 0.0,
    }  # fmt: skip


def _short(values: Any) -> list[float]:
    """Nine digits are enough to find the same float32 again."""
    return [float(f"{np.float32(value):.9g}") for value in values]
