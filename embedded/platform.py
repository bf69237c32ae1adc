"""Starts and stops the services: side by side where they can, in order where they must.

Whoever starts a service holds its mutex until it is healthy, so of twenty callers at once one starts it and the
others find it running. Every step can be done again: what a killed `up` left half done, the next one completes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from embedded import addresses, locks, units
from embedded.layout import Layout
from embedded.runner import NeedFailedError, Runner
from embedded.services.service import Service

UP_SECONDS = 300


@dataclass(frozen=True)
class Started:
    """How a service came up."""

    name: str
    address: str
    seconds: float
    was_up: bool


class Platform:
    """The services of one state directory. `tell` gets a line for people as soon as there is one."""

    def __init__(self, layout: Layout, services: Sequence[Service], tell: Callable[[str], None]) -> None:
        self.layout = layout
        self.services = {service.name: service for service in services}
        self.tell = tell
        self._runner = Runner(layout)
        self._given_up = threading.Event()
        self._has_port = {name: threading.Event() for name in self.services}

    def up(self, names: Sequence[str]) -> list[Started]:
        """Start these services and what they need; return when all work. Raises Unavailable (exit 69)."""
        self.layout.create()
        with locks.held(self.layout.units / "platform.mutex", UP_SECONDS, shared=True):
            chosen = self._with_needs(names)
            with ThreadPoolExecutor(max(len(chosen), 1)) as pool:
                ready: dict[str, Future[Started]] = {}
                for service in chosen:
                    ready[service.name] = pool.submit(self._bring_up, service, ready)
                return self._all(ready)

    def down(self, afterwards: Callable[[], None] | None = None) -> list[str]:
        """Stop everything, what depends first; return what was running. Nobody starts anything until `afterwards`."""
        if not self.layout.embedded.exists():
            if afterwards:
                afterwards()
            return []
        self.layout.create()
        with locks.held(self.layout.units / "platform.mutex", UP_SECONDS):
            stopped = [name for layer in self._layers() for name in self._stop_together(layer)]
            if afterwards:
                afterwards()
            return stopped

    def _with_needs(self, names: Sequence[str]) -> list[Service]:
        """In the order of declaration, which puts what is needed first."""
        wanted, open_names = set[str](), [*names, *self._running_dependents(names)]
        while open_names:
            name = open_names.pop()
            wanted.add(name)
            open_names += [need for need in self.services[name].needs if need not in wanted]
        return [service for name, service in self.services.items() if name in wanted]

    def _running_dependents(self, names: Sequence[str]) -> list[str]:
        """Services that run on top of these: they must follow when one of these moves to another port."""
        above = [service.name for service in self.services.values() if set(service.needs) & set(names)]
        return [name for name in above if units.running(self.layout, name)]

    def _all(self, ready: dict[str, Future[Started]]) -> list[Started]:
        """Wait for all; the first real failure is raised when nothing is left running behind it."""
        try:
            failures = [error for future in ready.values() if (error := future.exception())]
        except BaseException:
            self._given_up.set()
            raise
        for error in sorted(failures, key=lambda error: isinstance(error, NeedFailedError)):
            raise error
        return [future.result() for future in ready.values()]

    def _bring_up(self, service: Service, ready: dict[str, Future[Started]]) -> Started:
        self._await_needs(service, ready)
        began = time.monotonic()
        with locks.held(self.layout.unit(service.name, "mutex"), UP_SECONDS):
            launched_now, port = self._runner.ensure_running(service, self._has_port[service.name].set)
            self._runner.await_health(service, port, lambda: self._is_doomed(service, ready))
            service.prepare(port)
            sections = service.sections(port)
            addresses.publish(self.layout, sections)
        started = Started(service.name, shown_address(sections), time.monotonic() - began, not launched_now)
        how = f"up in {started.seconds:.1f} s" if launched_now else "already up" if service.ports else "ready"
        self.tell(f"{started.name:<11} {started.address:<28} {how}")
        return started

    def _is_doomed(self, service: Service, ready: dict[str, Future[Started]]) -> bool:
        """Is it useless to wait for this service any longer?"""
        failed = any(ready[need].done() and ready[need].exception() for need in service.needs)
        return failed or self._given_up.is_set()

    def _await_needs(self, service: Service, ready: dict[str, Future[Started]]) -> None:
        for need in service.needs:
            while service.waits_itself and not self._has_port[need].wait(0.05) and not ready[need].done():
                pass
            if (not service.waits_itself or ready[need].done()) and ready[need].exception():
                raise NeedFailedError(f"{service.name} needs {need}")

    def _layers(self) -> list[list[str]]:
        """Names that can be stopped together; each layer only after the one before it."""
        needed = {need for service in self.services.values() for need in service.needs}
        return [[n for n in self.services if n not in needed], [n for n in self.services if n in needed]]

    def _stop_together(self, names: list[str]) -> list[str]:
        with ThreadPoolExecutor(max(len(names), 1)) as pool:
            return [name for name, was_running in zip(names, pool.map(self._stop, names), strict=True) if was_running]

    def _stop(self, name: str) -> bool:
        service, began = self.services[name], time.monotonic()
        with locks.held(self.layout.unit(name, "mutex"), 20):
            addresses.withdraw(self.layout, service.publishes)
            was_running = bool(service.ports) and units.stop(self.layout, name)
        if was_running:
            self.tell(f"{name:<11} stopped in {time.monotonic() - began:.1f} s")
        return was_running


def shown_address(sections: addresses.Sections) -> str:
    """One address for people, out of what a service publishes."""
    keys = next(iter(sections.values()))
    if "host" in keys:
        return f"{keys['host']}:{keys['port']}"
    return str(next(iter(keys.values())))
