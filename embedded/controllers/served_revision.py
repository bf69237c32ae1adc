"""One revision, kept running: its model server is started, and started again whenever it ends."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from common.logger import get_logger
from embedded.controllers import model_files
from embedded.controllers.child import BackOff
from embedded.controllers.model_server import ModelServer, StartFailed
from embedded.controllers.revisions import Revision
from embedded.controllers.status import Failure
from embedded.kube.objects import Objects

if TYPE_CHECKING:
    from common.settings import Settings

log = get_logger(__name__)


@dataclass(frozen=True)
class Platform:
    """What a service needs of its surroundings."""

    objects: Objects
    state: Path
    settings: "Callable[[], Settings]"


class ServedRevision:
    """Runs until `stop`; calls `changed` whenever its server became ready, failed or ended."""

    def __init__(self, platform: Platform, revision: Revision, number: int, changed: Callable[[], None]) -> None:
        self.revision, self.number = revision, number
        """`number` tells the servers of one service apart that run at the same time: each has a log of its own."""
        self.failure: Failure | None = None
        self._platform, self._changed = platform, changed
        self._server: ModelServer | None = None
        self._task = asyncio.create_task(self._run())

    @property
    def address(self) -> str:
        """host:port while it is ready, else ""."""
        return self._server.address if self._server else ""

    async def stop(self) -> None:
        """End the server; it finishes what it is answering."""
        self._task.cancel()
        await asyncio.wait([self._task])
        if self._server is not None:
            await self._server.stop()

    async def _run(self) -> None:
        back_off = BackOff()
        while True:
            lived_seconds = await self._serve()
            self._changed()
            await asyncio.sleep(back_off.pause(lived_seconds))

    async def _serve(self) -> float:
        """One life of the server; returns how long it was ready."""
        try:
            server = await self._started()
        except Exception as error:  # whatever it is, it is this revision's alone, and told in the status
            self._fail(error)
            return 0
        clock = asyncio.get_running_loop().time
        began, self.failure, self._server = clock(), None, server
        log.info("ready", revision=self.revision.name, address=server.address)
        self._changed()
        code = await server.ended()
        self._server = None
        log.warning("a model server ended; it is started again", revision=self.revision.name, code=code)
        return clock() - began

    def _fail(self, error: Exception) -> None:
        log.warning("a revision cannot be served", revision=self.revision.name, reason=str(error),
                    exc_info=not isinstance(error, model_files.DownloadFailed | StartFailed))  # fmt: skip
        self.failure = Failure("ModelLoadFailed", str(error), getattr(error, "exit_code", 0))

    async def _started(self) -> ModelServer:
        revision, settings = self.revision, self._platform.settings()
        models = self._platform.state / "embedded" / "kserve" / "models"
        directory = await asyncio.to_thread(model_files.fetch, revision.storage_uri, models, settings.minio)
        suffix = f".{self.number}" if self.number > 1 else ""
        log_path = self._platform.state / "logs" / f"model-{revision.namespace}-{revision.service}{suffix}.log"
        server = ModelServer(revision, directory, log_path)
        await server.start(_credentials(settings, revision))
        return server


def _credentials(settings: "Settings", revision: Revision) -> Mapping[str, str]:
    """What a Secret would give the container on a cluster."""
    minio, kserve = settings.minio, settings.kserve
    log_uri = f"s3://{minio.bucket}/{kserve.prediction_log_prefix}/{revision.namespace}/{revision.service}"
    log_uri = dict(revision.environment).get("PREDICTION_LOG_URI", log_uri)
    return {
        "AWS_ENDPOINT_URL": minio.url, "AWS_ACCESS_KEY_ID": minio.access_key, "AWS_DEFAULT_REGION": minio.region,
        "AWS_SECRET_ACCESS_KEY": minio.secret_key.get_secret_value(), "PREDICTION_LOG_URI": log_uri,
    }  # fmt: skip
