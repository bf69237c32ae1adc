"""One InferenceService, made real: the revision that serves, and the change to the one that is wanted.

The new revision starts beside the old one and takes over when it is ready; then the old one ends. One that fails
to load changes nothing but the status. A server that dies is started again, with back-off.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.logger import get_logger
from embedded.controllers import model_files
from embedded.controllers.model_server import HOST, ModelServer, StartFailed, open_front
from embedded.controllers.revisions import InvalidSpec, Revision, resolve
from embedded.controllers.status import Failure, Observed, status
from embedded.kube.errors import ApiError
from embedded.kube.kinds import INFERENCE_SERVICE, SERVING_RUNTIME
from embedded.kube.objects import Objects
from embedded.kube.rules import Target, Writer
from embedded.kube.schemas import deployment_mode

if TYPE_CHECKING:
    from common.settings import Settings

FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 60.0
Document = dict[str, Any]
log = get_logger(__name__)


@dataclass(frozen=True)
class Platform:
    """What a service needs of its surroundings."""

    objects: Objects
    state: Path
    settings: "Callable[[], Settings]"


class ServedService:
    """Runs as one task per object; `wake()` it when something it depends on has changed."""

    def __init__(self, platform: Platform, document: Document) -> None:
        metadata = document["metadata"]
        self._platform = platform
        self._target = Target(INFERENCE_SERVICE, metadata["namespace"], metadata["name"], "status")
        self._note = f"served/{metadata['namespace']}/{metadata['name']}"
        noted = platform.objects.store.noted(self._note) or {}
        self._good: Revision | None = Revision.from_json(noted["revision"]) if noted.get("revision") else None
        self._front: socket.socket = open_front(noted.get("port", 0))
        self._server: ModelServer | None = None
        self._failure: Failure | None = None
        self._wait_seconds, self._retry_at = FIRST_WAIT_SECONDS, 0.0
        self._failed: Revision | None = None
        self._awake = asyncio.Event()
        self._remember()

    @property
    def url(self) -> str:
        """The stable URL."""
        return f"http://{HOST}:{self._front.getsockname()[1]}"

    def wake(self) -> None:
        """Look again now."""
        self._awake.set()

    async def run(self) -> None:
        """Reconcile for ever; an error that nobody foresaw is logged, and tried again."""
        while True:
            self._awake.clear()
            try:
                await self._reconcile()
            except Exception:  # one service's trouble must not end the others' controller
                log.exception("could not reconcile", service=self._target.name, namespace=self._target.namespace)
                await asyncio.sleep(FIRST_WAIT_SECONDS)
            await self._something_happens()

    async def stop(self) -> None:
        """End the server; the stable URL is given up."""
        if self._server is not None:
            await self._server.stop()
        self._front.close()

    def forget(self) -> None:
        """The object is gone. Its port is kept for a next one of its name, which then has the same URL."""
        self._good = None
        self._remember()

    async def _something_happens(self) -> None:
        """Return when woken, when the server ends, or when a failed revision is due again."""
        waits: list[asyncio.Task[Any]] = [asyncio.create_task(self._awake.wait())]
        if self._server is not None and self._server.is_running:
            waits.append(asyncio.create_task(self._server.ended()))
        pause = max(self._retry_at - _clock(), 0.05) if self._failure is not None else None
        try:
            await asyncio.wait(waits, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _reconcile(self) -> None:
        document = self._platform.objects.store.get(INFERENCE_SERVICE, self._target.namespace, self._target.name)
        if document is None:
            return
        try:
            wanted = resolve(document, self._runtimes())
        except InvalidSpec as problem:
            self._failure, self._failed = Failure(problem.reason, problem.message), None
            await self._keep_good()
            self._retry_at = _clock() + LONGEST_WAIT_SECONDS
            self._write_status(document, None)
            return
        if not self._is_serving(wanted) and self._may_try(wanted):
            self._write_status(document, wanted)
            await self._change_to(wanted)
        elif self._is_serving(wanted):
            self._failure = None
        if self._failure is not None:
            await self._keep_good()
        self._write_status(document, wanted)

    def _is_serving(self, revision: Revision) -> bool:
        return self._server is not None and self._server.is_running and self._server.revision == revision

    def _may_try(self, wanted: Revision) -> bool:
        if wanted != self._failed:
            self._wait_seconds, self._retry_at, self._failure = FIRST_WAIT_SECONDS, 0.0, None
        return _clock() >= self._retry_at

    async def _change_to(self, wanted: Revision) -> None:
        """Start the wanted revision; when it is ready, end the one before."""
        died = self._server is not None and not self._server.is_running and self._server.revision == wanted
        try:
            server = await self._started(wanted)
        except (model_files.DownloadFailed, StartFailed) as error:
            self._fail(wanted, Failure("ModelLoadFailed", str(error), getattr(error, "exit_code", 0)))
            return
        before, self._server, self._good = self._server, server, wanted
        self._failure, self._failed, self._wait_seconds = None, None, FIRST_WAIT_SECONDS
        self._remember()
        log.info("serving again" if died else "serving", revision=wanted.name, url=self.url)
        if before is not None:
            await before.stop()

    def _fail(self, wanted: Revision, failure: Failure) -> None:
        log.warning("a revision cannot be served", revision=wanted.name, reason=failure.message)
        self._failure, self._failed = failure, wanted
        self._retry_at = _clock() + self._wait_seconds
        self._wait_seconds = min(self._wait_seconds * 2, LONGEST_WAIT_SECONDS)

    async def _keep_good(self) -> None:
        """Serve the last revision that was good, also when it died, or after a restart with a bad spec."""
        if self._good is None or (self._server is not None and self._server.is_running):
            return
        with contextlib.suppress(model_files.DownloadFailed, StartFailed):
            self._server = await self._started(self._good)

    async def _started(self, revision: Revision) -> ModelServer:
        settings = self._platform.settings()
        models = self._platform.state / "embedded" / "kserve" / "models"
        directory = await asyncio.to_thread(model_files.fetch, revision.storage_uri, models, settings.minio)
        log_path = self._platform.state / "logs" / f"model-{revision.namespace}-{revision.service}.log"
        server = ModelServer(revision, directory, self._front, log_path)
        await server.start(_credentials(settings, revision))
        return server

    def _runtimes(self) -> dict[str, Document]:
        listed = self._platform.objects.store.all(SERVING_RUNTIME, self._target.namespace)
        return {runtime["metadata"]["name"]: runtime for runtime in listed}

    def _remember(self) -> None:
        port = self._front.getsockname()[1]
        good = self._good.to_json() if self._good else None
        self._platform.objects.store.note(self._note, {"port": port, "revision": good})

    def _write_status(self, document: Document, wanted: Revision | None) -> None:
        running = self._server is not None and self._server.is_running
        seen = Observed(
            mode=deployment_mode(document), generation=document["metadata"]["generation"], url=self.url,
            runtime=wanted.runtime if wanted else "", wanted=wanted.name if wanted else "", failure=self._failure,
            serving=self._server.revision.name if running and self._server else "",
        )  # fmt: skip
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

        def change(live: Document) -> Document:
            return {**live, "status": status(seen, live.get("status", {}), now)}

        with contextlib.suppress(ApiError):  # deleted meanwhile
            self._platform.objects.patch(self._target, change, Writer("kserve-controller-manager"))


def _credentials(settings: "Settings", revision: Revision) -> Mapping[str, str]:
    """What a Secret would give the container on a cluster."""
    minio, kserve = settings.minio, settings.kserve
    log_uri = f"s3://{minio.bucket}/{kserve.prediction_log_prefix}/{revision.namespace}/{revision.service}"
    log_uri = dict(revision.environment).get("PREDICTION_LOG_URI", log_uri)
    return {
        "AWS_ENDPOINT_URL": minio.url, "AWS_ACCESS_KEY_ID": minio.access_key, "AWS_DEFAULT_REGION": minio.region,
        "AWS_SECRET_ACCESS_KEY": minio.secret_key.get_secret_value(), "PREDICTION_LOG_URI": log_uri,
    }  # fmt: skip


def _clock() -> float:
    return asyncio.get_running_loop().time()
