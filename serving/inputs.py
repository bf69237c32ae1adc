"""From a request's body to the model's input columns; everything else is refused, with the place in the sentence.

A missing value is null. NaN and Infinity are not JSON, and infinite or oversized numbers are refused.
"""

from typing import Any, Protocol

import numpy as np

from churn.features import MISSING_CATEGORY, category
from serving.artefact import Schema

Columns = dict[str, np.ndarray]
NUMBERS = {"FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "BOOL"}
_NUMERIC = {int, float, bool, type(None)}
_TEXT = {str, int, float, bool, type(None)}


class BadInput(ValueError):
    """The request cannot be scored; the message says which part of it is wrong."""


class Tensor(Protocol):
    """An input tensor of the V2 protocol, as KServe decodes it."""

    name: str
    shape: list[int]
    datatype: str
    data: Any


def from_instances(payload: Any, schema: Schema) -> Columns:
    """V1: {"instances": [{column: value, ...} or [value, ...], ...]}."""
    if not isinstance(payload, dict) or not isinstance(payload.get("instances"), list):
        raise BadInput('Expected a JSON object with "instances", a list of rows.')
    rows = payload["instances"]
    if not rows:
        raise BadInput('"instances" is empty: there is nothing to score.')
    names = schema.columns
    values = [_row_values(row, number, names) for number, row in enumerate(rows)]
    return _columns(dict(zip(names, zip(*values, strict=True), strict=True)), schema)


def _row_values(row: Any, number: int, names: tuple[str, ...]) -> list[Any]:
    if isinstance(row, dict):
        if len(row) == len(names):
            try:
                return [row[name] for name in names]
            except KeyError:
                pass
        raise BadInput(f"Row {number}: {_difference(row.keys(), names)}.")
    if isinstance(row, list):
        if len(row) != len(names):
            raise BadInput(
                f"Row {number} has {len(row)} values, the model has {len(names)} columns: {', '.join(names)}."
            )
        return row
    raise BadInput(f"Row {number} is neither an object nor a list.")


def _difference(given: Any, names: tuple[str, ...]) -> str:
    missing = [name for name in names if name not in given]
    unknown = sorted(name for name in given if name not in names)
    said = [
        f"{label} {', '.join(found)}"
        for label, found in (("missing column", missing), ("unknown column", unknown))
        if found
    ]
    return "; ".join(said)


def from_tensors(tensors: list[Tensor], schema: Schema) -> Columns:
    """V2: one tensor per column, of shape [rows] or [rows, 1]."""
    names = [tensor.name for tensor in tensors]
    if len(set(names)) < len(names):
        raise BadInput("An input is given twice.")
    if set(names) != set(schema.columns):
        raise BadInput(f"The inputs are not the model's columns: {_difference(names, schema.columns)}.")
    values = {tensor.name: _tensor_values(tensor, schema) for tensor in tensors}
    if len({len(column) for column in values.values()}) > 1:
        raise BadInput("The inputs differ in their number of rows.")
    return _columns({name: values[name] for name in schema.columns}, schema)


def _tensor_values(tensor: Tensor, schema: Schema) -> list[Any]:
    allowed = NUMBERS if tensor.name in schema.numeric else {"BYTES"}
    if tensor.datatype not in allowed:
        raise BadInput(f"Input {tensor.name} has datatype {tensor.datatype}, expected {' or '.join(sorted(allowed))}.")
    shape, data = list(tensor.shape), _flat(tensor.data)
    if len(shape) not in (1, 2) or shape[1:] not in ([], [1]) or shape[0] < 1:
        raise BadInput(f"Input {tensor.name} has shape {shape}, expected [rows] or [rows, 1], with at least one row.")
    if len(data) != shape[0]:
        raise BadInput(f"Input {tensor.name} has {len(data)} values for shape {shape}.")
    return data


def _flat(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise BadInput("An input has no list of data.")
    if data and all(isinstance(item, list) for item in data):
        return [value for item in data for value in item]
    return data


def _columns(values: dict[str, Any], schema: Schema) -> Columns:
    for name in schema.numeric:
        _refuse_what_is_no_number(name, values[name])
    numbers = _numbers([values[name] for name in schema.numeric], schema.numeric)
    columns = {name: numbers[at].reshape(-1, 1) for at, name in enumerate(schema.numeric)}
    return columns | {name: _texts(name, values[name]) for name in schema.categorical}


def _refuse_what_is_no_number(name: str, values: Any) -> None:
    for value in values:
        if type(value) not in _NUMERIC:
            raise BadInput(f"Column {name} holds {value!r:.60}, expected a number or null.")


def _numbers(columns: list[Any], names: tuple[str, ...]) -> np.ndarray:
    """All numeric columns at once: one array is made and checked in the time that one column takes."""
    try:
        with np.errstate(over="ignore"):
            numbers = np.array(columns, dtype=np.float32)
    except (OverflowError, ValueError) as error:
        raise BadInput("A number is too large.") from error
    if np.isinf(numbers).any():
        name = names[int(np.isinf(numbers).any(axis=1).argmax())]
        raise BadInput(f"Column {name} holds a number that is infinite or beyond 3.4e38.")
    return numbers


def _texts(name: str, values: Any) -> np.ndarray:
    if any(type(value) not in _TEXT for value in values):
        wrong = next(value for value in values if type(value) not in _TEXT)
        raise BadInput(f"Column {name} holds {wrong!r:.60}, expected text or null.")
    texts = [
        value if type(value) is str else MISSING_CATEGORY if value is None else category(value) for value in values
    ]
    return np.array(texts, dtype=object).reshape(-1, 1)
