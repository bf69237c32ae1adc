"""The toy's world: a directory named by TOY_WORLD."""

import os
from pathlib import Path


def world() -> Path:
    return Path(os.environ["TOY_WORLD"])


def count(name: str) -> None:
    """Note that a step really ran."""
    with (world() / "ran.txt").open("a") as ran:
        ran.write(name + "\n")
