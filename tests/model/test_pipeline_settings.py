"""What a pod is told of the settings of whoever started its pipeline: all that counts there, and no secret."""

import json

import pytest

from common.pipeline_settings import as_told, told
from common.settings import Settings
from uc1_churn_prediction.training_pipeline import PLAIN, SECRET

IMAGE = {
    "uc1": {"table": "customers", "model_name": "churn-predictor", "ordered": {"Level": ["low", "high"]}},
    "minio": {"endpoint": "http://minio.minio:9000", "secret_key": "of-the-pod", "region": "us-east-1"},
    "postgres": {"host": "postgresql.postgresql", "user": "pod", "password": "of-the-pod", "database": "mlops"},
}
OURS = {
    "uc1": {"query": "SELECT 'token-in-sql'", "model_name": "gym", "label": "left", "positive_label": 2,
            "gate": {"min_roc_auc": 0.9}, "numeric": ["visits"], "as_of": "2026-01-01T00:00:00Z"},
    "minio": {"endpoint": "http://localhost:9001", "secret_key": "ours-minio", "access_key": "ours-key",
              "bucket": "gym", "region": "eu-west-3"},
    "postgres": {"host": "localhost", "port": 6543, "password": "ours-postgres", "database": "gym"},
    "mlflow": {"tracking_uri": "http://somebody:ours-mlflow@localhost:5001", "password": "ours-mlflow"},
    "feast": {"project": "gym"},
}  # fmt: skip


def settings(values: object) -> Settings:
    return Settings.model_validate(values)


def test_a_component_takes_what_counts_from_whoever_started_it_and_keeps_its_own_addresses() -> None:
    ours, pod = settings(OURS), settings(IMAGE)
    here = as_told(pod, told(ours))
    assert here.uc1 == ours.uc1.model_copy(update={"query": None})
    assert here.feast == ours.feast
    assert (here.minio.bucket, here.minio.region, here.postgres.database) == ("gym", "eu-west-3", "gym")
    assert (here.minio.endpoint, here.postgres.host, here.postgres.port) == (
        pod.minio.endpoint,
        pod.postgres.host,
        5432,
    )
    assert here.minio.secret_key.get_secret_value() == "of-the-pod"
    assert here.mlflow == pod.mlflow


def test_no_secret_and_no_address_is_in_the_parameter() -> None:
    text = told(settings(OURS))
    for hidden in ("ours-", "localhost", "6543", "token-in-sql", "somebody", "**"):
        assert hidden not in text, hidden


def test_the_same_settings_give_the_same_text_and_nothing_said_changes_nothing() -> None:
    assert told(settings(OURS)) == told(settings(json.loads(json.dumps(OURS))))
    assert as_told(settings(IMAGE), "") == settings(IMAGE)


@pytest.mark.parametrize("variable", PLAIN + SECRET)
def test_what_a_pod_gets_from_its_namespace_is_a_setting(variable: str) -> None:
    path = variable.removeprefix("MLOPS_").lower().replace("__", ".")
    assert path == "config_file" or settings({}).at(path) is not None
