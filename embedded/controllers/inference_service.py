"""Plays KServe's controller: every stored InferenceService is served by a process of ours, also after a restart."""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path

from embedded.controllers.served_revision import Platform
from embedded.controllers.served_service import Document, ServedService
from embedded.kube.kinds import INFERENCE_SERVICE, SERVING_RUNTIME
from embedded.kube.objects import Objects

LOOK_AGAIN_SECONDS = 30.0


@dataclass(frozen=True)
class _Running:
    service: ServedService
    task: "asyncio.Task[None]"


class InferenceServices:
    """One task per object; objects are told apart by uid, so that a recreated one is a new one."""

    def __init__(self, objects: Objects, state: Path) -> None:
        from common.config import load_settings

        self._platform = Platform(objects, state, load_settings)
        self._running: dict[str, _Running] = {}
        self._seen: dict[str, str] = {}

    async def run(self) -> None:
        """Follow the store until cancelled."""
        store = self._platform.objects.store
        while True:
            version = store.version()
            await self._look()
            await store.changed(version, LOOK_AGAIN_SECONDS)

    async def stop(self) -> None:
        """End every model server."""
        await asyncio.gather(*(self._end(uid) for uid in list(self._running)))

    def targets(self) -> list[Document]:
        """Where Prometheus finds the metrics of each ready model server, as its http_sd wants to be told."""
        return [
            {"targets": [address], "labels": {"namespace": revision.namespace, "service": revision.service,
                                              "revision": revision.label}}
            for each in self._running.values() for revision, address in each.service.running
        ]  # fmt: skip

    async def _look(self) -> None:
        store = self._platform.objects.store
        services = {each["metadata"]["uid"]: each for each in store.all(INFERENCE_SERVICE)}
        for uid in self._running.keys() - services.keys():
            running = self._running[uid]
            running.service.forget()
            await self._end(uid)
        runtimes = ",".join(
            str(each["metadata"]["generation"]) + each["metadata"]["uid"] for each in store.all(SERVING_RUNTIME)
        )
        for uid, document in services.items():
            self._follow(uid, document, runtimes)

    def _follow(self, uid: str, document: Document, runtimes: str) -> None:
        """Start a task for a new object; wake the task of one whose spec, or whose runtimes, changed."""
        depends_on = f"{document['metadata']['generation']} {document['metadata'].get('annotations')} {runtimes}"
        if uid not in self._running:
            service = ServedService(self._platform, document)
            self._running[uid] = _Running(service, asyncio.create_task(service.run()))
        elif self._seen.get(uid) != depends_on:
            self._running[uid].service.wake()
        self._seen[uid] = depends_on

    async def _end(self, uid: str) -> None:
        running = self._running.pop(uid)
        running.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running.task
        await running.service.stop()
