"""What every service can tell the platform about itself."""

from __future__ import annotations

from typing import Protocol

from embedded.addresses import Sections
from embedded.ports import PortRange
from embedded.units import Program


class NotReadyError(Exception):
    """The service does not do its work yet; the message says what was missing."""


class Service(Protocol):
    """One service. `port` is the first of its ports, 0 where it has none."""

    name: str
    needs: tuple[str, ...]
    waits_itself: bool  # it may start beside what it needs, and waits for that in its own time
    publishes: tuple[str, ...]  # sections of addresses.yaml
    ports: PortRange | None  # None: no process, only files
    patience_seconds: float

    def install(self) -> None:
        """Make the files it needs, if they are not there yet. Raises MlopsError."""

    def program(self, port: int) -> Program:
        """What to run. The same answer for the same files and ports."""

    def before_start(self) -> None:
        """Look at what an earlier life left, just before the program starts."""

    def check(self, port: int) -> None:
        """Raises NotReadyError until the service does real work."""

    def prepare(self, port: int) -> None:
        """Fill it with what clients expect to find. Done at every `up`, so it must be quick when done before."""

    def sections(self, port: int) -> Sections:
        """What to publish."""
