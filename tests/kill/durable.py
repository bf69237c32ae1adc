"""Durable order, read from the calls that were made: what a power cut could take back is said.

SIGKILL cannot show it, since the kernel still writes what a dead process wrote. So: data to the disk before they get
their name, and the directory that holds the name after it, before the process ends. SQLite keeps an order of its own.
"""

import posixpath
import re
from collections.abc import Iterable
from typing import NamedTuple

from tests.kill.tracer import Made

SQLITE = re.compile(r"\.db(\.[^/]*)?(-wal|-shm|-journal)?$")
WRITES, SYNCS = {"write", "pwrite64", "writev", "pwritev", "ftruncate", "copy_file_range"}, {"fsync", "fdatasync"}
NAMES = {"rename", "renameat", "renameat2", "link", "linkat"}


class Broken(NamedTuple):
    """A promise about a file that was not kept."""

    path: str
    why: str


def violations(calls: Iterable[Made], directory: str, exempt: str = "$^") -> list[Broken]:
    """What was not durable of the files below `directory` that were given their name by a rename or link."""
    dirty: set[str] = set()
    unsettled: dict[str, str] = {}
    found: list[Broken] = []
    ours = re.compile(f"{re.escape(directory)}/(?!.*(?:{exempt}))")
    for call in calls:
        if call.result < 0:
            continue
        if call.name in WRITES and ours.match(call.paths[-1]):
            dirty.add(call.paths[-1])
        elif call.name in SYNCS:
            dirty.discard(call.paths[0])
            unsettled = {path: at for path, at in unsettled.items() if at != call.paths[0]}
        elif call.name in NAMES and ours.match(call.paths[1]):
            source, target = call.paths
            if source in dirty and not SQLITE.search(target):
                found.append(Broken(target, "named before its data were on the disk"))
            dirty.discard(source)
            unsettled[target] = posixpath.dirname(target)
        elif call.name.startswith(("unlink", "rmdir")):
            unsettled.pop(call.paths[0], None)
    return found + [Broken(path, "its directory was not synced after it got its name") for path in unsettled]
