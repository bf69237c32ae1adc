"""Toy step 2: add the numbers up.

Reads    Numbers
Writes   total.txt, once;
         and nothing else
Returns  Total
"""

import os
import time
from typing import Any

from common.cli import main
from common.publish import write_atomically
from common.step import step
from common.tools import Tools
from tests.floor.toy.results import Numbers, Total
from tests.floor.toy.toy_01_read import spawn_sleeper
from tests.floor.toy.world import count, world


@step(settings=("uc1.seed",), deadline_seconds=float(os.environ.get("TOY_DEADLINE", "60")))
def run(tools: Tools, numbers: Numbers) -> Total:
    count("02")
    total = sum(numbers.values)
    if os.environ.get("TOY_CHILD"):
        (world() / "child.pid").write_text(str(spawn_sleeper()))
    (world() / "started").touch()
    time.sleep(float(os.environ.get("TOY_SLEEP", "0")))
    write_atomically(world() / "total.txt", str(total).encode())
    tools.context.effect("file", "total.txt", total=total)
    return Total(total=total)


def observe(tools: Tools) -> Any:
    return {"missing": not (world() / "total.txt").exists()}


if __name__ == "__main__":
    main(__file__)
