"""One InferenceService, made real: its front door, and the revisions behind it.

A new revision starts beside the old one and takes over when it is ready; then the old one ends. One that fails to
load changes nothing but the status.
"""

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any

from common.logger import get_logger
from embedded.controllers.asked import Asked, ask
from embedded.controllers.front_door import HOST, FrontDoor
from embedded.controllers.revisions import Revision
from embedded.controllers.rollout import Decision, Memory, decide
from embedded.controllers.served_revision import Platform, ServedRevision
from embedded.controllers.status import CanarySeen, Observed, status
from embedded.kube.errors import ApiError
from embedded.kube.kinds import INFERENCE_SERVICE, SERVING_RUNTIME
from embedded.kube.rules import Target, Writer

AFTER_ERROR_SECONDS = 5.0
FAREWELL_SECONDS = 1.0  # a request that was sent to a revision just before it lost its share still arrives
Document = dict[str, Any]
log = get_logger(__name__)


class ServedService:
    """Runs as one task per object; `wake()` it when something it depends on has changed."""

    def __init__(self, platform: Platform, document: Document) -> None:
        metadata = document["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        self._platform, self._awake = platform, asyncio.Event()
        self._target = Target(INFERENCE_SERVICE, namespace, name, "status")
        self._note = f"served/{namespace}/{name}"
        noted = platform.objects.store.noted(self._note) or {}
        self._memory = Memory.from_note(noted)
        # Names have no dots, so this folder is no other service's.
        folder = platform.state / "embedded" / "kserve" / f"{namespace}.{name}"
        log_file = platform.state / "logs" / f"door-{namespace}.{name}.log"
        self._door = FrontDoor(noted.get("port", 0), folder, log_file, self.wake)
        self._kept: dict[Revision, ServedRevision] = {}
        self._leaving: dict[asyncio.Task[None], ServedRevision] = {}
        self._remember()

    @property
    def url(self) -> str:
        """The stable URL."""
        return f"http://{HOST}:{self._door.port}"

    @property
    def running(self) -> list[tuple[Revision, str]]:
        """The revisions that are ready, with their addresses."""
        return [(revision, served.address) for revision, served in self._kept.items() if served.address]

    def wake(self) -> None:
        """Look again now."""
        self._awake.set()

    async def run(self) -> None:
        """Reconcile for ever; an error that nobody foresaw is logged, and tried again."""
        while True:
            self._awake.clear()
            try:
                self._reconcile()
            except Exception:  # one service's trouble must not end the others' controller
                log.exception("could not reconcile", service=self._target.name, namespace=self._target.namespace)
                await asyncio.sleep(AFTER_ERROR_SECONDS)
                continue
            await self._awake.wait()

    async def stop(self) -> None:
        """End every server and the door; the stable URL is given up."""
        for farewell in self._leaving:
            farewell.cancel()
        servers = {*self._kept.values(), *self._leaving.values()}
        await asyncio.gather(self._door.stop(), *(each.stop() for each in servers))

    def forget(self) -> None:
        """The object is gone. Its port is kept for a next one of its name, which then has the same URL."""
        self._memory = Memory()
        self._remember()

    def _reconcile(self) -> None:
        """Nothing here waits: who changes state later calls `wake`."""
        document = self._platform.objects.store.get(INFERENCE_SERVICE, self._target.namespace, self._target.name)
        if document is None:
            return
        asked = ask(document, self._runtimes())
        decision = decide(asked, self._memory, self._is_ready)
        self._keep(decision.kept)
        self._door.route(self._address(decision.champion), self._address(decision.canary), decision.percent)
        if decision.memory != self._memory:
            self._memory = decision.memory
            self._remember()
        self._retire(decision.kept)
        self._write_status(document, asked, decision)

    def _is_ready(self, revision: Revision) -> bool:
        return bool(self._address(revision))

    def _address(self, revision: Revision | None) -> str:
        served = self._kept.get(revision) if revision else None
        return served.address if served else ""

    def _keep(self, revisions: tuple[Revision, ...]) -> None:
        """Start what does not run yet."""
        for revision in revisions:
            if revision not in self._kept:
                taken = {each.number for each in (*self._kept.values(), *self._leaving.values())}
                number = next(each for each in range(1, len(taken) + 2) if each not in taken)
                self._kept[revision] = ServedRevision(self._platform, revision, number, self.wake)

    def _retire(self, kept: tuple[Revision, ...]) -> None:
        """End what is not kept, when what was on its way to it has arrived."""
        for revision in self._kept.keys() - set(kept):
            served = self._kept.pop(revision)
            farewell = asyncio.create_task(_end(served))
            self._leaving[farewell] = served
            farewell.add_done_callback(lambda task: self._leaving.pop(task, None))

    def _runtimes(self) -> dict[str, Document]:
        listed = self._platform.objects.store.all(SERVING_RUNTIME, self._target.namespace)
        return {runtime["metadata"]["name"]: runtime for runtime in listed}

    def _remember(self) -> None:
        self._platform.objects.store.note(self._note, {"port": self._door.port, **self._memory.to_note()})

    def _write_status(self, document: Document, asked: Asked, decision: Decision) -> None:
        seen, now = self._observed(document, asked, decision), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

        def change(live: Document) -> Document:
            return {**live, "status": status(seen, live.get("status", {}), now)}

        with contextlib.suppress(ApiError):  # deleted meanwhile
            self._platform.objects.patch(self._target, change, Writer("kserve-controller-manager"))

    def _observed(self, document: Document, asked: Asked, decision: Decision) -> Observed:
        wanted, champion, rolled_out = asked.revision, decision.champion, decision.memory.rolled_out
        tried = self._kept.get(wanted) if wanted else None
        return Observed(
            mode=asked.mode, generation=document["metadata"]["generation"], url=self.url,
            runtime=wanted.runtime if wanted else "", wanted=wanted.name if wanted else "",
            failure=tried.failure if tried else asked.failure,
            serving=champion.name if champion and self._is_ready(champion) else "",
            champion=champion.name if champion else "", rolled_out=rolled_out.name if rolled_out else "",
            previous=decision.memory.previous,
            canaries=self._canaries(asked, decision), door_failure=self._door.failure,
        )  # fmt: skip

    def _canaries(self, asked: Asked, decision: Decision) -> tuple[CanarySeen, ...]:
        if asked.mode == "Knative":
            canary = decision.canary
            return (CanarySeen(canary.name, self._is_ready(canary), decision.percent),) if canary else ()
        seen = []
        for each in asked.canaries:
            served = self._kept.get(each.revision) if each.revision else None
            ready, failure = bool(served and served.address), served.failure if served else each.failure
            percent = decision.percent if each.revision else 0
            seen.append(CanarySeen(each.name, ready, percent, failure, is_valid=each.revision is not None))
        return tuple(seen)


async def _end(served: ServedRevision) -> None:
    await asyncio.sleep(FAREWELL_SECONDS)
    await served.stop()
