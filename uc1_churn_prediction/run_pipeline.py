"""UC1, churn: from a table to an endpoint, in six steps.

Run it:  python uc1_churn_prediction/run_pipeline.py
"""

from common.cli import main
from common.pipeline import Pipeline
from uc1_churn_prediction import uc1_01_data_ingestion_postgres as ingestion
from uc1_churn_prediction import uc1_02_data_versioning_dvc as versioning
from uc1_churn_prediction import uc1_03_data_validation_ge as validation
from uc1_churn_prediction import uc1_04_feature_engineering_feast as features
from uc1_churn_prediction import uc1_05_model_training_kubeflow as training
from uc1_churn_prediction import uc1_06_model_serving_kserve as serving

PIPELINE = Pipeline("uc1", [ingestion, versioning, validation, features, training, serving])

if __name__ == "__main__":
    main(PIPELINE)
