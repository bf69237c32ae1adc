"""UC5, fairness and documents: is the champion fair, and what is there to know of it.

Run it:  python uc5_fairness_docs/run_pipeline.py
"""

from common.cli import main
from common.pipeline import Pipeline
from uc5_fairness_docs import uc5_01_fairness_analysis_wit as fairness
from uc5_fairness_docs import uc5_02_generate_model_card as card

PIPELINE = Pipeline("uc5", [fairness, card], gate_stops=False)

if __name__ == "__main__":
    main(PIPELINE)
