"""Writers that are wrong on purpose: a harness that finds nothing wrong with them is blind."""

import os
from pathlib import Path

from tests.kill.effects import NEW


def in_place(place: str) -> None:
    """Write at the final name."""
    (Path(place) / "page.html").write_bytes(NEW)


def without_sync(place: str) -> None:
    """Rename what may not be on the disk yet."""
    temporary = Path(place) / ".tmp-page"
    temporary.write_bytes(NEW)
    temporary.replace(Path(place) / "page.html")


def sync_too_late(place: str) -> None:
    """Sync the file under its final name, and the directory not at all."""
    without_sync(place)
    descriptor = os.open(Path(place) / "page.html", os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def twice(place: str) -> None:
    """Note what was done after it was done, and never look: a repeated one does it again."""
    for name in ("done.txt", "noted.txt"):
        with (Path(place) / name).open("a") as file:
            file.write("once\n")


def in_a_child(place: str) -> None:
    """Let a grandchild write, in a group and session of its own, while a thread waits for it."""
    import subprocess
    import threading

    code = f"open({place + '/page.html'!r}, 'w').write('x' * 100)"
    command = ["setsid", "sh", "-c", f'python3 -c "{code}"']
    thread = threading.Thread(target=subprocess.run, args=(command,))
    thread.start()
    thread.join()
