"""Three pipelines in turns, the gate once more where the toy's total is odd."""

from common.cli import main
from common.pipeline import Pipeline
from common.turns import Turn
from tests.floor.toy import toy_03_tell
from tests.floor.toy.run_gate import PIPELINE as GATE
from tests.floor.toy.run_pipeline import PIPELINE as TOY

TURNS = [
    Turn(GATE),
    Turn(TOY),
    Turn(GATE, stands_on=("toy",), if_proposed_by="toy"),
    Turn(Pipeline("after", [toy_03_tell], checked=False), stands_on=("gate",)),
]

if __name__ == "__main__":
    main(TURNS)
