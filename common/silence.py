"""Hangs up on a server that has gone silent in the middle of an answer.

PostgreSQL's drivers wait in C for a peer whose machine answers and whose process does not, for ever: neither TCP's
keepalives nor a signal ends that. A thread that shuts the socket down does; the driver then reports a lost connection.
"""

import contextlib
import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

from common.patience import patience

DESCRIPTORS = Path("/dev/fd")


class Silence:
    """Connections to a port that were made in a block are shut down unless somebody says `heard` in time."""

    def __init__(self, port: int, seconds: float) -> None:
        self._port, self._seconds = port, seconds
        self._before = set(_to(port))
        self._timer: threading.Timer | None = None

    def heard(self, seconds: float | None = None) -> None:
        """Something has arrived: the time begins anew, from now on so many `seconds` where they are given."""
        self.over()
        self._seconds = seconds or self._seconds
        self._timer = threading.Timer(patience(self._seconds), self._hang_up)
        self._timer.daemon = True
        self._timer.start()

    def over(self) -> None:
        """Nothing is waited for any more."""
        if self._timer:
            self._timer.cancel()

    def _hang_up(self) -> None:
        for inode, descriptor in _to(self._port).items():
            if inode not in self._before:
                with contextlib.suppress(OSError), _borrowed(descriptor) as connection:
                    connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def hung_up_after(port: int, seconds: float) -> Iterator[Silence]:
    """Shut down what the block connects to this port after so many seconds of silence."""
    silence = Silence(port, seconds)
    silence.heard()
    try:
        yield silence
    finally:
        silence.over()


def _to(port: int) -> dict[int, int]:
    """This process's connections to a port: inode, which tells a connection for good, and descriptor."""
    found = {}
    for descriptor in [int(path.name) for path in DESCRIPTORS.iterdir()]:
        with contextlib.suppress(OSError):
            status = os.fstat(descriptor)
            if stat.S_ISSOCK(status.st_mode) and _peer_port(descriptor) == port:
                found[status.st_ino] = descriptor
    return found


def _peer_port(descriptor: int) -> int:
    with _borrowed(descriptor) as connection:
        peer = connection.getpeername()
    return int(peer[1]) if isinstance(peer, tuple) and len(peer) > 1 else 0


@contextlib.contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket]:
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        yield connection
