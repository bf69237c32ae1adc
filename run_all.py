"""Every use case in order, under one lock: what cron calls.

Run it:  python run_all.py
"""

from common.cli import main
from common.turns import Turn
from uc1_churn_prediction import run_pipeline as uc1
from uc2_ab_testing import run_pipeline as uc2

TURNS = [
    Turn(uc1.PIPELINE),
    Turn(uc2.PIPELINE, stands_on=("uc1",)),
]

if __name__ == "__main__":
    main(TURNS)
