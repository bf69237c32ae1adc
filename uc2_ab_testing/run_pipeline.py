"""UC2, canary: the candidate beside the champion, promoted when it is good and rolled back when it is not.

Run it:  python uc2_ab_testing/run_pipeline.py
         python uc2_ab_testing/run_pipeline.py --version 2 --inject wrong=20%
"""

from common.cli import main
from common.pipeline import Pipeline
from uc2_ab_testing import uc2_01_deploy_canary_kserve as deployment
from uc2_ab_testing import uc2_02_create_experiment_iter8 as experiment
from uc2_ab_testing import uc2_03_monitor_experiment as monitor

PIPELINE = Pipeline("uc2", [deployment, experiment, monitor], gate_stops=False)

if __name__ == "__main__":
    main(PIPELINE)
