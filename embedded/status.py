"""How the services are: a table for people, the same as data for programs."""

from __future__ import annotations

import contextlib
import time
from dataclasses import asdict, dataclass
from typing import Any

from embedded import ports, units
from embedded.layout import Layout
from embedded.platform import shown_address
from embedded.services.service import NotReadyError, Service

STYLES = {"healthy": "green", "files": "green", "stopped": "dim", "not embedded": "dim"}


@dataclass(frozen=True)
class Row:
    """One service. `memory_mb` counts shared pages once over all processes of the service (PSS) where it can."""

    name: str
    state: str
    address: str = ""
    pid: int | None = None
    memory_mb: float | None = None
    uptime_seconds: float | None = None
    restarts: int | None = None
    reason: str = ""

    def as_data(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self)


def look(layout: Layout, service: Service, embedded: bool) -> Row:
    """Ask the lock, the record and the service itself."""
    if not service.ports:
        return _look_at_files(layout, service, embedded)
    record, port = units.running(layout, service.name), ports.kept(layout, service.name)
    if not record or not port:
        return Row(service.name, "stopped" if embedded else "not embedded")
    reason = _reason(service, record)
    state = "healthy" if not reason else "restarting" if not record.pid else "not ready"
    return Row(
        service.name, state, shown_address(service.sections(port)), record.pid, _memory_mb(record.pid),
        round(time.time() - record.since, 1) if record.pid else None, record.restarts, reason,
    )  # fmt: skip


def show(rows: list[Row]) -> None:
    """The table on stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table("service", "address", "pid", "memory", "uptime", "restarts", "state", box=None, pad_edge=False)
    for row in rows:
        style = STYLES.get(row.state, "red")
        table.add_row(
            row.name, row.address, _text(row.pid), _text(row.memory_mb, " MB"), _uptime(row.uptime_seconds),
            _text(row.restarts), f"[{style}]{row.state}[/]" + (f": {row.reason}" if row.reason else ""),
        )  # fmt: skip
    Console(width=None if _is_terminal() else 160).print(table)


def _look_at_files(layout: Layout, service: Service, embedded: bool) -> Row:
    from embedded.addresses import published

    there = all(section in published(layout) for section in service.publishes)
    if not there:
        return Row(service.name, "stopped" if embedded else "not embedded")
    return Row(service.name, "files", shown_address(service.sections(0)))


def _reason(service: Service, record: units.Record) -> str:
    if not record.pid:
        return f"its process ended {record.failures} times in a row"
    try:
        service.check(record.port)
    except NotReadyError as reason:
        return str(reason)
    return ""


def _memory_mb(pid: int | None) -> float | None:
    import psutil

    if pid is None:
        return None
    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for member in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += _size(member)
    return round(total / 1e6, 1)


def _size(process: Any) -> int:
    import psutil

    try:
        return int(process.memory_full_info().pss)
    except (psutil.AccessDenied, AttributeError):
        return int(process.memory_info().rss)


def _text(value: float | None, unit: str = "") -> str:
    return "" if value is None else f"{value:.0f}{unit}"


def _uptime(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min" if minutes else f"{seconds:.0f} s"


def _is_terminal() -> bool:
    import sys

    return sys.stdout.isatty()
