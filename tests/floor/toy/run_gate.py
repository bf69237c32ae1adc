"""The toy gate, whose refusal does not stop what comes after it."""

from common.cli import main
from common.pipeline import Pipeline
from tests.floor.toy import gate_01_look, gate_02_judge

PIPELINE = Pipeline("gate", [gate_01_look, gate_02_judge], gate_stops=False)

if __name__ == "__main__":
    main(PIPELINE)
