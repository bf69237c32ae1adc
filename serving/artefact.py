"""A model on disk: model.onnx, schema.json beside it, and the check that they are what they claim to be."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from onnxruntime import InferenceSession

DIGEST = re.compile(r"[0-9a-f]{64}")


class BrokenArtefact(Exception):
    """The directory does not hold a model that may be served; the message says why."""


@dataclass(frozen=True)
class Schema:
    """The model's columns, in the order of its inputs: the numeric ones first."""

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column."""
        return self.numeric + self.categorical


@dataclass(frozen=True)
class Artefact:
    """A loaded model."""

    digest: str
    schema: Schema
    session: "InferenceSession"

    def probabilities(self, columns: dict[str, "np.ndarray"]) -> "np.ndarray":
        """Probability of the positive class for each row; `columns` are arrays of shape [rows, 1]."""
        (scores,) = self.session.run(["probabilities"], columns)
        positive: np.ndarray = scores[:, 1]
        return positive


def load(directory: Path, digest: str = "") -> Artefact:
    """Read and check the model in `directory`. Raises BrokenArtefact.

    Its sha256 must equal `digest`, or, when that is not given, the name of the directory where that is a digest.
    """
    path = directory / "model.onnx"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BrokenArtefact(f"There is no model: {path} cannot be read ({error.strerror}).") from error
    actual = hashlib.sha256(content).hexdigest()
    expected = digest or (directory.name if DIGEST.fullmatch(directory.name) else actual)
    if actual != expected:
        raise BrokenArtefact(f"{path} has sha256 {actual}, expected {expected}: it was damaged or exchanged.")
    return Artefact(actual, _schema(directory / "schema.json"), _session(content, path))


def _schema(path: Path) -> Schema:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        schema = Schema(tuple(said["numeric"]), tuple(said["categorical"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenArtefact(f"{path} does not list the model's columns ({type(error).__name__}: {error}).") from error
    if not schema.columns or len(set(schema.columns)) < len(schema.columns):
        raise BrokenArtefact(f"{path} lists no columns, or one twice.")
    return schema


def _session(content: bytes, path: Path) -> "InferenceSession":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Several threads for one small row only wait for each other: they cost a factor of ten on busy cores.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exception types share no base
        raise BrokenArtefact(f"{path} is not a model that onnxruntime can load ({_first_line(error)}).") from error


def check_inputs(artefact: Artefact) -> None:
    """Hold schema.json against the model's own inputs. Raises BrokenArtefact."""
    inputs = {each.name: each.type for each in artefact.session.get_inputs()}
    wanted = dict.fromkeys(artefact.schema.numeric, "tensor(float)")
    wanted |= dict.fromkeys(artefact.schema.categorical, "tensor(string)")
    if inputs != wanted:
        differing = sorted(set(inputs.items()) ^ set(wanted.items()))
        raise BrokenArtefact(f"schema.json and the model's inputs differ: {differing}.")
    if "probabilities" not in {each.name for each in artefact.session.get_outputs()}:
        raise BrokenArtefact("The model has no output named probabilities.")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
