"""Brings one service to run and to work; its caller holds the service's mutex."""

from __future__ import annotations

import time
from collections.abc import Callable

from common.errors import Unavailable
from embedded import ports, units
from embedded.layout import Layout
from embedded.secret_files import masked
from embedded.services.service import NotReadyError, Service

FAILED_STARTS = 4  # in a row, each within seconds: it will not come up by waiting


class NeedFailedError(Exception):
    """Waiting is useless: what the service stands on did not start, and the reason is told there."""


class Runner:
    """Starts services of one state directory and waits for them."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def ensure_running(self, service: Service, port_is_known: Callable[[], None]) -> tuple[bool, int]:
        """Launch it unless it runs as it should; one that runs with other settings is replaced.

        Returns whether it was launched now, and its port. `port_is_known` is called before the long part.
        """
        if not service.ports:
            service.install()
            return False, 0
        record = units.running(self.layout, service.name)
        if record and self._runs_as_it_should(service, record):
            port_is_known()
            return False, record.port
        units.stop(self.layout, service.name)
        return True, self._launch(service, service.ports, port_is_known)

    def await_health(self, service: Service, port: int, is_doomed: Callable[[], bool]) -> None:
        """Return when it does real work. Raises Unavailable (exit 69) with the last lines of its log."""
        deadline = time.monotonic() + service.patience_seconds
        while missing := self._missing(service, port):
            record = units.running(self.layout, service.name)
            if record is None or (record.pid is None and record.failures >= FAILED_STARTS):
                failure = self._unhealthy(service, missing)
                units.stop(self.layout, service.name)  # so that `up` starts afresh when the cause is mended
                raise failure
            if time.monotonic() > deadline:
                raise self._unhealthy(service, missing)
            if is_doomed():
                raise NeedFailedError(service.name)
            time.sleep(0.05)

    def _launch(self, service: Service, wanted: ports.PortRange, port_is_known: Callable[[], None]) -> int:
        reservation = ports.reserve(self.layout, service.name, wanted)
        try:
            port_is_known()
            service.install()
            service.before_start()
            units.launch(self.layout, service.program(reservation.port), reservation)
        finally:
            reservation.close()
        return reservation.port

    def _runs_as_it_should(self, service: Service, record: units.Record) -> bool:
        """With today's settings, and not down while a stranger sits on its port: then another port is needed."""
        assert service.ports
        # Between two failures there is a process for a moment, which does not listen.
        is_down = record.failures > 1 and not (record.pid and units.listens(record.pid, record.port))
        lost_its_port = is_down and not ports.is_free(record.port, service.ports.size)
        return record.digest == service.program(record.port).digest() and not lost_its_port

    def _missing(self, service: Service, port: int) -> str:
        """Why the service is not healthy; empty when it is."""
        if not service.ports:
            return ""
        record = units.running(self.layout, service.name)
        if not record or not record.pid:
            return "its process ended"
        if not units.listens(record.pid, port):
            return f"it does not listen on port {port}"
        try:
            service.check(port)
        except NotReadyError as reason:
            return str(reason)
        return ""

    def _unhealthy(self, service: Service, missing: str) -> Unavailable:
        log = masked(self.layout, units.last_lines(self.layout, service.name))
        return Unavailable(
            f"The embedded {service.name} did not become healthy: {masked(self.layout, missing)}.",
            f"Its log {self.layout.log(service.name)} ends with:\n{log}",
        )
