"""UC3 on the real platform: moved customers are sent, found in the log, answered once, and never again."""

from typing import Any

import pytest

from churn.findings import Change
from common.ledger import Ledger
from common.registry import Version
from tests.conftest import EmbeddedPlatform
from tests.uc3.drifting_world import DriftingWorld
from uc3_drift_retraining import late_labels, sources, windows
from uc3_drift_retraining.results import DriftReport


@pytest.fixture(scope="module")
def world(platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> DriftingWorld:
    """A world in which UC3 has run once."""
    world = DriftingWorld("drifting", tmp_path_factory.mktemp("uc3"), platform.state).seed()
    world.first = world.ended()  # type: ignore[attr-defined]
    return world


def first(world: DriftingWorld, step: str) -> Any:
    return world.first[step]["result"]  # type: ignore[attr-defined]


def test_the_moved_customers_are_found_in_the_log_and_what_moved_is_named(world: DriftingWorld) -> None:
    found = first(world, "01")
    drifted = {column["name"] for column in found["columns"] if column["drifted"]}
    assert {"age", "tenure_months"} <= drifted
    assert not drifted & {"region", "products", "days_since_last_login"}
    assert found["rows"] >= 780
    assert (found["share"] > 0.3, found["champion"], found["reference_rows"]) == (True, "1", 2000)


def test_evidentlys_page_is_in_object_storage_and_beside_the_report(world: DriftingWorld) -> None:
    page = world.tools.minio.get_bytes(world.tools.minio.key(first(world, "01")["page"]))
    assert b"tenure_months" in page
    copies = [path.read_bytes() for path in world.state.glob("runs/*/pages/*.html")]
    assert page in copies


def test_the_gauges_say_which_columns_have_drifted(world: DriftingWorld) -> None:
    gauges = (world.state / "metrics" / f"drift-{world.model_name}.prom").read_text()
    assert f'mlops_drift_drifted{{column="age",model="{world.model_name}"}} 1.0' in gauges
    assert f'mlops_drift_drifted{{column="region",model="{world.model_name}"}} 0.0' in gauges


def test_the_retrained_model_is_proposed_says_what_it_answers_and_is_who_uc2_tries_next(world: DriftingWorld) -> None:
    found, made = first(world, "01"), first(world, "02")
    candidate = world.tools.mlflow.candidate(world.model_name)
    assert candidate is not None
    assert candidate.version == made["candidate"]
    assert candidate.tags["answers_drift"] == found["window"]
    assert candidate.tags["drift_report"] == found["page"]
    assert float(candidate.tags["drift_share"]) == pytest.approx(found["share"], abs=1e-4)
    assert (candidate.state, candidate.gate) == ("proposed", "passed")


def test_the_retrained_model_learned_from_both_tables_by_a_snapshot_of_its_own(world: DriftingWorld) -> None:
    made = first(world, "02")
    assert made["rows"] == 3500
    candidate = world.tools.mlflow.candidate(world.model_name)
    assert candidate is not None
    assert candidate.tags["data_uri"] == made["snapshot"]
    assert world.tools.minio.exists(world.tools.minio.key(made["snapshot"]))


def test_old_and_new_model_are_compared_on_customers_whom_neither_learned_from(world: DriftingWorld) -> None:
    made = first(world, "02")
    compared = {(each["name"], each["version"]): each["change"] for each in made["populations"]}
    moved = compared["new to the old model", made["candidate"]]
    assert 200 < moved["rows"] < 400
    assert moved["after"] > moved["before"]
    assert moved["low"] <= moved["after"] - moved["before"] <= moved["high"]


def test_every_decision_is_in_the_ledger_with_its_reason(world: DriftingWorld) -> None:
    ledger = Ledger(world.state / "ledger.db", read_only=True)
    decisions = [event.body for event in ledger.events() if (event.kind, event.state) == ("effect", "decision")]
    assert decisions[0]["retrain"] is True
    assert "have drifted" in decisions[0]["reason"]


def test_a_second_run_sends_nobody_and_says_unchanged(world: DriftingWorld) -> None:
    before = world.numbers()
    again = world.ended()
    assert [again[step]["state"] for step in ("01", "02")] == ["unchanged", "unchanged"]
    assert world.numbers() == before


def test_a_lost_ledger_finds_the_same_drift_and_does_not_answer_it_twice(world: DriftingWorld) -> None:
    before = world.numbers()
    world.lose_ledger()
    again = world.ended()
    assert [again[step]["state"] for step in ("01", "02")] == ["unchanged", "unchanged"]
    assert again["01"]["result"]["window"] == first(world, "01")["window"]
    assert again["02"]["result"]["decision"].startswith("answered by version")
    assert world.numbers() == before


def test_a_run_killed_between_training_and_tagging_is_gone_on_with_and_trains_nothing_again(
    world: DriftingWorld,
) -> None:
    before, made, client = world.numbers(), first(world, "02"), world.tools.mlflow.client
    client.delete_model_version_tag(world.model_name, made["candidate"], "answers_drift")
    world.lose_ledger()
    again = world.ended()["02"]["result"]
    assert again["decision"] == "goes on with what was begun"
    assert (again["candidate"], again["digests"]) == (made["candidate"], made["digests"])
    assert world.numbers() == before
    candidate = world.tools.mlflow.candidate(world.model_name)
    assert candidate is not None
    assert candidate.tags["answers_drift"] == made["window"]


def test_drift_that_nobody_has_answered_is_remembered_through_quiet_windows(world: DriftingWorld) -> None:
    found = DriftReport.model_validate(first(world, "01"))
    quiet = found.model_copy(update={"window": "later", "share": 0.0})
    assert windows.to_answer(world.tools, quiet).window == found.window
    of_another_champion = quiet.model_copy(update={"champion_digest": "another"})
    assert windows.to_answer(world.tools, of_another_champion) == of_another_champion


def test_labels_that_arrive_late_show_whether_the_model_has_got_worse(world: DriftingWorld) -> None:
    tools = world.tools
    champion = tools.mlflow.champion(world.model_name)
    assert champion is not None
    log = sources.prediction_log(tools)
    logged = sources.answered(log.rows(log.since())).to_pandas()
    outcomes = [(row.request_id, bool(row.prediction > 0.5)) for row in logged.itertuples()]
    assert _performance(world, outcomes, champion).is_better
    assert _performance(
        world, [(each, number % 2 == 0) for number, (each, _) in enumerate(outcomes)], champion
    ).is_worse


def _performance(world: DriftingWorld, outcomes: list[tuple[str, bool]], champion: Version) -> Change:
    table = f"outcomes_{world.name}"
    world.sql(f"DROP TABLE IF EXISTS {table}")
    values = ", ".join(f"('{request}', {label}, now())" for request, label in outcomes)
    world.sql(f"CREATE TABLE {table} AS SELECT * FROM (VALUES {values}) AS o (request_id, label, known_at)")
    query = f"SELECT request_id, label FROM {table} WHERE known_at >= :since"
    found = late_labels.performance(world.tools_with(MLOPS_UC3__LATE_LABELS__QUERY=query), champion)
    assert found is not None
    assert found.rows >= 780
    return found


def test_other_limits_judge_the_same_rows_again(world: DriftingWorld) -> None:
    strict = world.ended("--until", "01", "--set", "uc3.limits.psi=5", "--set", "uc3.limits.kl=5")["01"]
    assert strict["result"]["rows"] >= 780
    assert strict["result"]["share"] == 0.0
    assert strict["state"] == "unchanged"


def test_a_parquet_object_of_the_usual_population_shows_no_drift_and_no_page(world: DriftingWorld) -> None:
    found = world.ended("--until", "01", "--current", world.data_uri)["01"]
    assert (found["result"]["share"], found["result"]["page"]) == (0.0, "")
    assert found["result"]["rows"] == 2000


@pytest.mark.deep
def test_a_table_that_has_moved_ends_with_3_where_drift_is_to_fail(world: DriftingWorld) -> None:
    found = world.ended("--until", "01", "--current", world.moved, "--fail-on-drift", "true", code=3)["01"]
    assert found["result"]["rows"] == 1500
    assert "have drifted" in found["cause"]


def test_a_promoted_answer_ends_the_story(world: DriftingWorld) -> None:
    tools = world.tools
    candidate = tools.mlflow.candidate(world.model_name)
    assert candidate is not None
    tools.mlflow.promote(candidate, tools.mlflow.champion(world.model_name))
    after = world.ended()
    assert [after[step]["state"] for step in ("01", "02")] == ["unchanged", "unchanged"]
    assert after["01"]["result"]["champion"] == candidate.version
    assert tools.mlflow.candidate(world.model_name) is None
