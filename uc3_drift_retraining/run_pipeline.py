"""UC3, drift: what production saw beside what the champion learned from, answered by a retrained candidate.

Run it:  python uc3_drift_retraining/run_pipeline.py
         python uc3_drift_retraining/run_pipeline.py --current customers_latest --until 01
"""

from common.cli import main
from common.pipeline import Pipeline
from uc3_drift_retraining import uc3_01_drift_detection_evidently as detection
from uc3_drift_retraining import uc3_02_trigger_retrain_kubeflow as retraining

PIPELINE = Pipeline("uc3", [detection, retraining], gate_stops=False)

if __name__ == "__main__":
    main(PIPELINE)
