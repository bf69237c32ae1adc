"""Toy gate, step 1: look whether there is anything to judge.

Reads    the setting uc2.version
Writes   nothing
Returns  Candidate
"""

from common.cli import main
from common.flags import Flag
from common.step import step
from common.tools import Tools
from tests.floor.toy.results import Candidate
from tests.floor.toy.world import count

FLAGS = (Flag("--version", "uc2.version", "N", "judge this one, 100% of it"),)


@step(settings=("uc2.version",))
def run(tools: Tools) -> Candidate:
    count("look")
    return Candidate(version=tools.settings.uc2.version or 0)


if __name__ == "__main__":
    main(__file__)
