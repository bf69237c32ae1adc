"""KServe's own ModelServer, with what it leaves open: the address, bad input as 400, and no chatter.

Its data plane, protocol endpoints, readiness and metrics are KServe's, unchanged.
"""

import asyncio
import logging
import socket
from typing import Any

import kserve
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from kserve import InferRequest
from kserve.constants.constants import FASTAPI_APP_IMPORT_STRING
from kserve.errors import InvalidInput, ModelNotFound
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.rest.server import RESTServer
from kserve.protocol.rest.v1_endpoints import V1Endpoints
from starlette.responses import Response

from common.faults import Faults
from serving.faults import FaultyRequests
from serving.inputs import BadInput
from serving.middleware import Requests, Served
from serving.model import OnnxModel

GRACE_SECONDS = 2


class StrictDataPlane(DataPlane):  # type: ignore[misc]
    """KServe's data plane; what it cannot decode is the client's fault, not the server's."""

    def decode(self, body: Any, headers: Any, *args: Any, **kwargs: Any) -> Any:
        """As KServe's, but with every failure a BadInput."""
        try:
            return super().decode(body, headers, *args, **kwargs)
        except InvalidInput:
            raise
        except Exception as error:  # KeyError, IndexError, struct.error, ...: whatever the bytes provoke
            raise BadInput(f"The request cannot be decoded ({type(error).__name__}: {error}).") from error

    async def infer(self, model_name: str, request: Any, headers: Any = None) -> tuple[Any, dict[str, str]]:
        """Score, and answer in the protocol that was asked in."""
        model: OnnxModel = await self.get_model(model_name)
        scores, _ = await model(request, headers=headers)
        if isinstance(request, InferRequest):
            return model.respond_v2(scores, request.id), {}
        return model.respond_v1(scores), {}

    async def model_metadata(self, model_name: str) -> dict[str, Any]:
        """KServe's answer, and the model's digest as its version: who deploys can see what is served."""
        model: OnnxModel = self.get_model_from_registry(model_name)
        return {
            **await super().model_metadata(model_name),
            "versions": [model.artefact.digest],
            "platform": "onnx",
        }


class Rest(RESTServer):  # type: ignore[misc]
    """KServe's REST server on the sockets that it is handed, with our layer around it."""

    served: Served
    sockets: list[socket.socket]

    def _register_endpoints(self, app: FastAPI) -> None:
        # KServe's own endpoint; on a plain route, because FastAPI's takes longer than the model.
        endpoint = V1Endpoints(self.dataplane)

        async def predict(request: Request) -> Response:
            answer: Response = await endpoint.predict(request.path_params["model_name"], request)
            return answer

        app.add_route("/v1/models/{model_name}:predict", predict, methods=["POST"])
        super()._register_endpoints(app)

    def _add_middlewares(self, app: FastAPI) -> None:
        if self.served.faults != Faults():
            app.add_middleware(FaultyRequests, faults=self.served.faults)
        # KServe's TimingMiddleware only writes a line per request, and costs half the throughput.
        app.add_middleware(Requests, served=self.served)

    def _add_exception_handlers(self, app: FastAPI) -> None:
        super()._add_exception_handlers(app)
        # KServe answers these too, but logs a traceback for each.
        for expected, code in (
            (BadInput, 400),
            (InvalidInput, 400),
            (ModelNotFound, 404),
            (RequestValidationError, 400),
        ):
            app.add_exception_handler(expected, _quietly(code))

    async def start(self) -> None:
        """As KServe's, on our sockets."""
        self.create_application()
        await self._server.serve(sockets=self.sockets)


def _quietly(code: int) -> Any:
    async def handler(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": _sentence(error)}, code)

    return handler


def _sentence(error: Exception) -> str:
    if not isinstance(error, RequestValidationError):
        return str(error)
    first = error.errors()[0]
    return f"The request is not a valid V2 request: {'.'.join(str(step) for step in first['loc'])}: {first['msg']}."


class Server(kserve.ModelServer):  # type: ignore[misc]
    """KServe's ModelServer with one worker, without gRPC, listening where it is told."""

    def __init__(self, served: Served, sockets: list[socket.socket]) -> None:
        super().__init__(workers=1, enable_grpc=False, enable_latency_logging=False, grace_period=GRACE_SECONDS)
        self.dataplane = StrictDataPlane(model_registry=self.registered_models)
        self._served, self._sockets = served, sockets

    def start(self, models: list[OnnxModel]) -> None:
        """Serve until SIGTERM."""
        self._register_and_check_atleast_one_model_is_ready(models)
        rest = Rest(FASTAPI_APP_IMPORT_STRING, self.dataplane, self.model_repository_extension, self.http_port,
                    grace_period=self.grace_period, timeout_keep_alive=self.timeout_keep_alive)  # fmt: skip
        rest.served, rest.sockets = self._served, self._sockets
        self.register_signal_handler()
        asyncio.run(rest.start())


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError where the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Connections inherit it. Without it an answer's body waits 40 ms for its headers to be acknowledged.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind((host, port))
    listener.listen(1024)
    return listener


def silence() -> None:
    """Take KServe's and uvicorn's lines per request away; their warnings stay."""
    for name in ("kserve", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # ModelServer configures logging only where the logger has no handler yet.
    logging.getLogger("kserve").addHandler(logging.NullHandler())
    for name in ("kserve.trace", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers[:], logger.propagate, logger.disabled = [], False, True
