"""A wire between a client and a real server that misbehaves as told, one connection after the other."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

Fault = Callable[[bytes, int], bytes | None]
"""What becomes of bytes from the server, given how many went before: other bytes, or None to cut the wire."""


def sound(data: bytes, _: int) -> bytes | None:
    """Nothing happens."""
    return data


def cut_after(count: int) -> Fault:
    """The wire is cut once the server has sent `count` bytes."""
    return lambda data, before: data if before + len(data) <= count else None


def flip_at(place: int) -> Fault:
    """One bit of the server's byte number `place` is turned."""

    def flip(data: bytes, before: int) -> bytes:
        at = place - before
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] if 0 <= at < len(data) else data

    return flip


def flip_every(count: int) -> Fault:
    """One bit in every `count` bytes from the server is turned."""

    def flip(data: bytes, before: int) -> bytes:
        turned = bytearray(data)
        for at in range(-before % count, len(data), count):
            turned[at] ^= 1 if before + at else 0
        return bytes(turned)

    return flip


class Once:
    """A fault that strikes one time, on whatever connection, and counts itself."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.times = 0

    def __call__(self, data: bytes, before: int) -> bytes | None:
        passed = data if self.times else self.fault(data, before)
        self.times += passed != data
        return passed


class Wire:
    """Listens on a port of its own. The first connections get the given faults, later ones the last of them."""

    def __init__(self, host: str, port: int, faults: Sequence[Fault]) -> None:
        self.target = (host, port)
        self.faults = list(faults)
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.sockets: list[socket.socket] = []
        self.threads = [_started(self._accept)]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            fault = self.faults[min(self.connections, len(self.faults) - 1)]
            self.connections += 1
            server = socket.create_connection(self.target)
            self.sockets += [client, server]
            self.threads += [_started(_pump, client, server, sound), _started(_pump, server, client, fault)]

    def close(self) -> None:
        """Hang up on everybody."""
        for each in (self.listener, *self.sockets):
            _hang_up(each)
        for thread in self.threads:
            thread.join()
        for each in (self.listener, *self.sockets):
            each.close()


def _started(target: Callable[..., None], *args: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=args, daemon=True)
    thread.start()
    return thread


def _pump(source: socket.socket, sink: socket.socket, fault: Fault) -> None:
    before = 0
    try:
        while data := source.recv(65536):
            passed = fault(data, before)
            if passed is None:
                break
            sink.sendall(passed)
            before += len(data)
    except OSError:
        pass
    _hang_up(source)
    _hang_up(sink)


def _hang_up(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)


@contextmanager
def wire(host: str, port: int, *faults: Fault) -> Iterator[Wire]:
    """A wire to host:port for the length of a block."""
    made = Wire(host, port, faults or [sound])
    try:
        yield made
    finally:
        made.close()


def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
