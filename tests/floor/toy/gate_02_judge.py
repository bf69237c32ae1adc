"""Toy gate, step 2: refuse odd versions, and say what was found all the same.

Reads    Candidate
Writes   nothing
Returns  Verdict
"""

from common.cli import main
from common.errors import GateRefused, Unavailable
from common.step import step
from common.tools import Tools
from tests.floor.toy.gate_01_look import FLAGS as LOOKS
from tests.floor.toy.results import Candidate, Verdict
from tests.floor.toy.world import count

FLAGS = LOOKS


@step(always=True)
def run(tools: Tools, candidate: Candidate) -> Verdict:
    count("judge")
    if candidate.version == 13:
        raise Unavailable("Nobody can judge 13.")
    verdict = Verdict(version=candidate.version)
    if candidate.version % 2:
        raise GateRefused(f"Version {candidate.version} is odd.", "Try an even one.", result=verdict)
    return verdict


if __name__ == "__main__":
    main(__file__)
