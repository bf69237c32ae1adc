"""Ports: the usual ones where free, else free ones; kept across restarts; never the same for two clones.

A free port is not a promise: whoever asks next gets the same answer before the service has bound it. So a port is
reserved first, by a name in the kernel's abstract socket namespace, and the service's shim holds that name for life.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from dataclasses import dataclass

from common.errors import Unavailable
from common.publish import write_atomically
from embedded import locks
from embedded.layout import Layout

TRIES = 200


@dataclass(frozen=True)
class PortRange:
    """`size` neighbouring ports; the usual first one, and how far the next block is."""

    usual: int
    size: int = 1

    def blocks(self) -> range:
        """First ports, in the order of preference. Blocks of two clones never overlap."""
        return range(self.usual, self.usual + TRIES * self.size, self.size)


@dataclass(frozen=True)
class Reservation:
    """A port that no other clone gets while `holder` is open."""

    port: int
    holder: socket.socket | None

    def descriptors(self) -> tuple[int, ...]:
        """What a child must inherit to hold the reservation."""
        return (self.holder.fileno(),) if self.holder else ()

    def close(self) -> None:
        """Let go; a child that inherited it still holds it."""
        if self.holder:
            self.holder.close()


def kept(layout: Layout, name: str) -> int | None:
    """The port that this service had last."""
    port = _read(layout).get(name)
    return int(port) if port else None


def reserve(layout: Layout, name: str, wanted: PortRange) -> Reservation:
    """The port it had last, else the usual one, else the next free one; remembered for the next time."""
    last = kept(layout, name)
    for port in [last, *wanted.blocks()] if last else wanted.blocks():
        reservation = _try(port, wanted.size)
        if reservation:
            _remember(layout, name, port)
            return reservation
    raise Unavailable(f"No free port for {name} between {wanted.usual} and {wanted.blocks()[-1]}.")


def is_free(port: int, size: int = 1) -> bool:
    """Could a server bind these ports now? Connections that linger from an earlier one do not count."""
    return all(_can_bind(number) for number in range(port, port + size))


def _try(port: int, size: int) -> Reservation | None:
    holder = None
    if sys.platform == "linux":
        holder = socket.socket(socket.AF_UNIX)
        try:
            holder.bind(f"\0mlops-port-{port}")
        except OSError:
            holder.close()
            return None
    if is_free(port, size):
        return Reservation(port, holder)
    if holder:
        holder.close()
    return None


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return True
    return False


def _read(layout: Layout) -> dict[str, int]:
    try:
        known: dict[str, int] = json.loads((layout.units / "ports.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return known


def _remember(layout: Layout, name: str, port: int) -> None:
    with locks.held(layout.units / "ports.mutex", 10):
        write_atomically(layout.units / "ports.json", json.dumps({**_read(layout), name: port}).encode(), 0o600)
