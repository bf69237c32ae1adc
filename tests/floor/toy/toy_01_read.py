"""Toy step 1: read the numbers.

Reads    source.txt
Writes   nothing
Returns  Numbers
"""

import subprocess
import sys
import time

from common.cli import main
from common.errors import InvalidData, StorageFull
from common.step import step
from common.tools import Tools
from tests.floor.toy.results import Numbers
from tests.floor.toy.world import count, world


@step(always=True)
def run(tools: Tools) -> Numbers:
    count("01")
    text = (world() / "source.txt").read_text()
    if text.startswith("bad"):
        raise InvalidData("source.txt holds words; it must hold numbers.", "Write numbers.")
    if text.startswith("full"):
        raise StorageFull("The disk is full.")
    if text.startswith("bug"):
        raise ZeroDivisionError("nobody foresaw this")
    return Numbers(values=tuple(int(word) for word in text.split()), read_at=str(time.time()))


def spawn_sleeper() -> int:
    """A child as a pipeline component would be one: it carries the run's mark."""
    sleeper = [sys.executable, "-c", "import time; time.sleep(120)"]
    return subprocess.Popen(sleeper, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid


if __name__ == "__main__":
    main(__file__)
