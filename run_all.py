"""Every use case in order, under one lock: what cron calls.

Run it:  python run_all.py
"""

from common.cli import main
from uc1_churn_prediction import run_pipeline as uc1
from uc2_ab_testing import run_pipeline as uc2

PIPELINES = [uc1.PIPELINE, uc2.PIPELINE]

if __name__ == "__main__":
    main(PIPELINES)
