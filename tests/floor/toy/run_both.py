"""The toy gate and then the toy pipeline; with TOY_STRICT the gate's refusal ends everything."""

import os

from common.cli import main
from common.pipeline import Pipeline
from tests.floor.toy import gate_01_look, gate_02_judge
from tests.floor.toy.run_gate import PIPELINE as GATE
from tests.floor.toy.run_pipeline import PIPELINE as TOY

STRICT = Pipeline("gate", [gate_01_look, gate_02_judge])

if __name__ == "__main__":
    main([STRICT if os.environ.get("TOY_STRICT") else GATE, TOY])
