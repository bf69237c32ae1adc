"""Deadlines and signals that hold even while the main thread sits in a C library.

A Python signal handler runs only between bytecodes, and a database driver that waits for a silent server never gets
there. So a thread watches: it learns of signals through the wake-up pipe and of the deadline by the clock, lets
the main thread stop cleanly for GRACE_SECONDS, and then ends the process itself.
"""

import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

from common.errors import ExitCode, Expired, Interrupted

GRACE_SECONDS = 8.0


class Watch:
    """Watches one process. `last_words(code)` is called before the process is ended by force."""

    def __init__(self, last_words: Callable[[int], None]) -> None:
        self._last_words = last_words
        self._deadline: float | None = None
        self._name = ""
        self._settled = threading.Event()
        self._ours, self._kernels = socket.socketpair()
        self._kernels.setblocking(False)

    @contextlib.contextmanager
    def running(self) -> Iterator["Watch"]:
        """Handle SIGINT and SIGTERM and start watching. Only in the main thread."""
        before = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._expire)
        wakeup = signal.set_wakeup_fd(self._kernels.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._look, name="watch", daemon=True).start()
        try:
            yield self
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._kernels.close()  # the thread reads the end of the stream and leaves

    @contextlib.contextmanager
    def deadline(self, seconds: float, name: str, of: float | None = None) -> Iterator[None]:
        """Raise Expired in the main thread when the block takes longer than `seconds`, what is left `of` a whole."""
        self._settled.clear()
        self._name = f"{name} did not end within {of or seconds:g} s."
        self._deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self._deadline = None
            self._settled.set()

    def _look(self) -> None:
        while True:
            readable, _, _ = select.select([self._ours], [], [], 0.2)
            if readable:
                received = self._ours.recv(1)
                if not received:
                    return
                if received[0] != signal.SIGALRM:
                    self._insist(128 + received[0])
            elif self._deadline is not None and time.monotonic() > self._deadline:
                self._deadline = None
                os.kill(os.getpid(), signal.SIGALRM)
                self._insist(ExitCode.DEADLINE)

    def _insist(self, code: int) -> None:
        """Give the main thread its grace, then leave without it."""
        end = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < end:
            if code == ExitCode.DEADLINE and self._settled.is_set():
                return
            with contextlib.suppress(BlockingIOError):
                if not self._ours.recv(1, socket.MSG_DONTWAIT):
                    return
            time.sleep(0.05)
        try:
            print(f"It did not stop within {GRACE_SECONDS:g} s and is ended by force.", file=sys.stderr, flush=True)
            words = threading.Thread(target=self._last_words, args=(int(code),), daemon=True)
            words.start()
            words.join(2)  # whatever keeps the main thread may keep the ledger too
        finally:
            os._exit(int(code))

    def _expire(self, _: int, __: FrameType | None) -> None:
        raise Expired(self._name)


def _interrupt(number: int, _: FrameType | None) -> None:
    for later in (signal.SIGINT, signal.SIGTERM):
        signal.signal(later, signal.SIG_IGN)  # a second Ctrl-C must not break the clean-up
    raise Interrupted(number)
