"""What everybody on the machine can see while runs go on: the command lines of all processes, every few ms."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EVERY_SECONDS = 0.02


class CommandLines:
    """The command lines seen so far; `looks` counts how often all processes were looked at."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self.looks = 0
        self._ended = threading.Event()

    def _look(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            self.looks += 1
            for place in Path("/proc").iterdir():
                if place.name.isdigit():
                    try:
                        self.seen.add((place / "cmdline").read_bytes())
                    except OSError:
                        continue

    @contextmanager
    def watched(self) -> Iterator["CommandLines"]:
        """Look during the block, from a thread."""
        thread = threading.Thread(target=self._look, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join()

    def pieces(self) -> Iterator[tuple[str, bytes]]:
        """As a sink to search; arguments are joined by blanks, as ps does."""
        yield "command lines", b"\n".join(line.replace(b"\0", b" ") for line in self.seen)
