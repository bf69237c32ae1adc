"""What UC1's results say stays true when a later use case changes what is served."""

from uc1_churn_prediction.results import ModelVersion, ServedModel, TrainedModels


def version(number: str, state: str) -> ModelVersion:
    return ModelVersion(
        version=number, algorithm="gradient_boosting", state=state, digest="d" + number, uri="s3://b/m", run_id="r",
        metrics={"roc_auc": 0.8}, gate="passed",
    )  # fmt: skip


def test_an_unchanged_training_does_not_say_who_is_champion_now() -> None:
    trained = TrainedModels(
        model_name="churn", features_digest="f", versions=(version("1", "champion"), version("2", "candidate")),
        champion="1", pipeline_uri="s3://b/p", pipeline_run="p",
    )  # fmt: skip
    assert "champion" not in trained.summary()
    assert ("champion after training", "v1") in trained.sections()[0].facts


def test_an_unchanged_service_does_not_say_which_version_it_answers_with_now() -> None:
    served = ServedModel(
        model_name="churn", namespace="models", version="1", digest="d1", uri="s3://b/m", url="http://churn",
        runtime="churn-onnx", golden_rows=20, max_difference=0,
    )  # fmt: skip
    assert served.summary() == "churn at http://churn; 20 golden predictions agreed"
    assert served.sections()[0].title == "Service, at deployment"


def test_a_service_that_was_left_to_a_canary_claims_no_golden_prediction_and_no_version() -> None:
    left = ServedModel(
        model_name="churn", namespace="models", version="1", digest="d1", uri="s3://b/m", url="http://churn",
        runtime="churn-onnx", golden_rows=0, max_difference=0, left_to_the_canary=True,
    )  # fmt: skip
    assert left.summary() == "churn left to the canary; no golden predictions asked"
    (section,) = left.sections()
    assert section.title == "Service, left to the canary"
    assert dict(section.facts)["golden predictions"].startswith("not asked")
    assert left.links() == ()
