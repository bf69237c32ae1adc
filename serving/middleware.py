"""Wraps every request: caps its body, guards what strangers must not call, counts, times and logs predictions.

Plain ASGI, without a framework's conveniences: it is on the path of every prediction.
"""

import json
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from common.faults import Faults
from common.logger import get_logger
from serving.metrics import Metrics
from serving.model import current_record
from serving.prediction_log import PredictionLog, Record

BODY_LIMIT_BYTES = 1 << 20

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
log = get_logger(__name__)


@dataclass(frozen=True)
class Served:
    """What is served here, and where requests are noted."""

    metrics: Metrics
    prediction_log: PredictionLog | None
    identity: Headers
    """Headers of every answer to a prediction: which model and which revision gave it."""
    faults: Faults


def is_prediction(scope: Scope) -> bool:
    """True for what counts as a prediction request."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return False
    return str(scope["path"]).startswith(("/v1/models/", "/v2/models/"))


class BodyTooLarge(Exception):
    """The body is larger than BODY_LIMIT_BYTES."""


class Requests:
    """The outermost layer of the application."""

    def __init__(self, app: App, served: Served) -> None:
        self._app, self._served = app, served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif path.startswith("/v2/repository/"):
            # Loading and unloading is the controller's business; KServe lets anybody do it.
            await answer(send, 404, "This server does not load or unload models.", [])
        elif is_prediction(scope):
            await self._predict(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _predict(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, given = time.perf_counter(), dict(scope["headers"])
        request_id = given.get(b"x-request-id", b"")[:128]
        record = Record(
            request_id.decode("latin-1") or uuid.uuid4().hex,
            given.get(b"x-golden") == b"true",
            time.time_ns(),
        )
        headers = [*self._served.identity, (b"x-request-id", record.request_id.encode("latin-1"))]
        current_record.set(record)

        async def send_noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        try:
            body = await _whole_body(receive, given)
            await self._app(scope, _replay(body, receive), send_noting)
        except BodyTooLarge:
            await answer(
                send_noting,
                413,
                f"The body is larger than {BODY_LIMIT_BYTES} bytes.",
                [(b"connection", b"close")],
            )
        except Exception:
            if record.status:
                raise
            log.exception("a prediction failed", request_id=record.request_id)
            await answer(send_noting, 500, "The model server failed; its log says why.", [])
        finally:
            self._note(record, time.perf_counter() - started)

    def _note(self, record: Record, seconds: float) -> None:
        self._served.metrics.observe(record.status or 499, seconds)  # 499: the client left before the answer
        if self._served.prediction_log is not None:
            record.latency_ms = seconds * 1000
            self._served.prediction_log.put(record)


async def _whole_body(receive: Receive, headers: dict[bytes, bytes]) -> bytes:
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced) > BODY_LIMIT_BYTES:
        raise BodyTooLarge
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > BODY_LIMIT_BYTES:
            raise BodyTooLarge
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that hands out the body that was read already."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed


async def answer(send: Send, code: int, sentence: str, headers: Headers) -> None:
    """Answer with a JSON error, as KServe does."""
    body = json.dumps({"error": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": body})
