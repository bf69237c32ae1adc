"""Every use case in order, under one lock and deadline: what cron calls.

A model that UC3 proposes has its canary in the same run. A refusal (exit 3) of UC1 ends the run, one of UC5 keeps UC6
away, any other leaves everything with the champion. `--keep-going` goes past a failure with what does not stand on it.
UC4 is left out where there is no lineage server (`marquez.url`).

Run it:  python run_all.py
"""

from common.cli import main
from common.turns import Turn
from uc1_churn_prediction import run_pipeline as uc1
from uc2_ab_testing import run_pipeline as uc2
from uc3_drift_retraining import run_pipeline as uc3
from uc4_data_lineage import run_pipeline as uc4
from uc5_fairness_docs import run_pipeline as uc5
from uc6_gitops_deployment import run_pipeline as uc6

TURNS = [
    Turn(uc1.PIPELINE),
    Turn(uc2.PIPELINE, stands_on=("uc1",)),
    Turn(uc3.PIPELINE, stands_on=("uc1",)),
    Turn(uc2.PIPELINE, stands_on=("uc1",), if_proposed_by="uc3"),
    Turn(uc5.PIPELINE, stands_on=("uc1",)),
    Turn(uc6.PIPELINE, stands_on=("uc1", "uc5")),
    Turn(uc4.PIPELINE, if_set="marquez.url"),  # last: lineage shows what all the others did
]

if __name__ == "__main__":
    main(TURNS)
