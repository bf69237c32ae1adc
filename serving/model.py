"""KServe's Model around an ONNX session: what is asked for is checked, scored, and noted for the log."""

import asyncio
from contextvars import ContextVar
from typing import Any

from kserve import InferOutput, InferRequest, InferResponse, Model

from serving import inputs
from serving.artefact import Artefact
from serving.prediction_log import Record

# Above this, scoring would hold up other requests for longer than starting a thread takes.
ROWS_ON_THE_LOOP = 200

# The record of the request that is being answered; the server sets it, the model fills it in.
current_record: ContextVar[Record] = ContextVar("current_record")

_TYPES = {True: "FP32", False: "BYTES"}


class OnnxModel(Model):  # type: ignore[misc]
    """Answers V1 with {"predictions": [probability, ...]} and V2 with one tensor, probability."""

    def __init__(self, name: str, artefact: Artefact) -> None:
        super().__init__(name)
        self.artefact = artefact
        self.ready = True

    async def preprocess(self, payload: Any, headers: Any = None) -> inputs.Columns:  # noqa: ARG002
        """The model's columns from a V1 or V2 body. Raises BadInput."""
        if isinstance(payload, InferRequest):
            return inputs.from_tensors(payload.inputs, self.artefact.schema)
        return inputs.from_instances(payload, self.artefact.schema)

    def validate(self, payload: inputs.Columns) -> inputs.Columns:
        """Checked already."""
        return payload

    async def predict(self, payload: inputs.Columns, headers: Any = None) -> Any:  # noqa: ARG002
        """Probabilities of the positive class, as an array."""
        rows = len(next(iter(payload.values())))
        if rows <= ROWS_ON_THE_LOOP:
            scores = self.artefact.probabilities(payload)
        else:
            scores = await asyncio.to_thread(self.artefact.probabilities, payload)
        record = current_record.get()
        record.columns, record.predictions = payload, scores
        return scores

    def respond_v1(self, scores: Any) -> dict[str, Any]:
        """The V1 answer."""
        return {"predictions": scores.tolist()}

    def respond_v2(self, scores: Any, request_id: str | None) -> InferResponse:
        """The V2 answer."""
        output = InferOutput("probability", [len(scores)], "FP32", data=scores.tolist())
        return InferResponse(request_id or "", self.name, [output])

    def get_input_types(self) -> list[dict[str, Any]]:
        """One tensor per column."""
        schema = self.artefact.schema
        return [{"name": name, "datatype": _TYPES[name in schema.numeric], "shape": [-1, 1]} for name in schema.columns]

    def get_output_types(self) -> list[dict[str, Any]]:
        """The probability of the positive class."""
        return [{"name": "probability", "datatype": "FP32", "shape": [-1]}]
