"""UC1 from table to endpoint, on the real platform: what one run makes, and what the next one notices."""

import json
from typing import Any

import pytest
import requests

from common.ledger import Ledger
from tests.conftest import EmbeddedPlatform
from tests.uc1.universe import Universe

UNCHANGED = dict.fromkeys(("01", "02", "03", "04", "05", "06"), "unchanged")


@pytest.fixture(scope="module")
def uc1(platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> Universe:
    """A universe in which UC1 has run once."""
    universe = Universe("whole", tmp_path_factory.mktemp("universes"), platform.state).prepare(4000)
    done = universe.run("--json")
    assert done.returncode == 0, done.stderr[-3000:]
    universe.first = json.loads(done.stdout)  # type: ignore[attr-defined]
    return universe


def result(universe: Universe, step: str) -> Any:
    return next(s["result"] for s in universe.first["steps"] if s["step"].startswith(f"uc1_{step}"))  # type: ignore[attr-defined]


def test_the_baseline_is_champion_and_the_trees_are_the_challenger(uc1: Universe) -> None:
    world = uc1.world()
    assert [(version, algorithm, state) for version, algorithm, state, _, _ in world["versions"]] == [
        ("1", "logistic_regression", "champion"),
        ("2", "gradient_boosting", "proposed"),
    ]
    assert (world["champion"], world["candidate"]) == ("1", "2")


def test_the_endpoint_answers_for_the_champion(uc1: Universe) -> None:
    served = result(uc1, "06")
    answer = requests.post(
        f"{served['url']}/v1/models/{served['model_name']}:predict",
        json={"instances": [json.loads(served["example"])]}, timeout=10,
    )  # fmt: skip
    assert answer.status_code == 200
    assert 0 < answer.json()["predictions"][0] < 1
    assert served["golden_rows"] == 20
    assert served["max_difference"] <= 1e-5


def test_the_snapshot_is_one_object_under_the_digest_of_its_content_and_under_its_plain_name(uc1: Universe) -> None:
    raw = result(uc1, "01")
    store = uc1.tools.minio
    assert raw["rows"] == 4000
    assert raw["uri"].endswith(f"raw/customers/{raw['digest']}.parquet")
    plain = store.get_bytes("raw/customers.parquet")
    assert plain == store.get_bytes(f"raw/customers/{raw['digest']}.parquet")


def test_a_second_run_says_unchanged_everywhere_and_makes_nothing(uc1: Universe) -> None:
    before = uc1.world()
    assert uc1.states() == UNCHANGED
    assert uc1.world() == before


@pytest.mark.deep
def test_a_deleted_service_is_noticed_and_only_it_is_made_again(uc1: Universe) -> None:
    before = uc1.world()
    settings = uc1.settings
    uc1.tools.kubernetes.delete("InferenceService", settings.uc1.model_name, settings.uc1.namespace)
    assert uc1.states() == {**UNCHANGED, "06": "done"}
    assert uc1.world() == before


@pytest.mark.deep
def test_a_service_edited_by_hand_is_put_back(uc1: Universe) -> None:
    before, settings = uc1.world(), uc1.settings
    edit = {"spec": {"predictor": {"model": {"storageUri": "s3://elsewhere/model"}}}}
    uc1.tools.kubernetes.merge_patch("InferenceService", settings.uc1.model_name, settings.uc1.namespace, edit)
    assert uc1.states() == {**UNCHANGED, "06": "done"}
    assert uc1.world() == before


@pytest.mark.deep
def test_a_lost_ledger_runs_every_step_and_makes_nothing_twice(uc1: Universe) -> None:
    before = uc1.world()
    for path in uc1.state.glob("ledger.db*"):
        path.unlink()
    assert set(uc1.states().values()) == {"done"}
    assert uc1.world() == before


@pytest.mark.deep
def test_a_lost_state_directory_makes_nothing_twice(uc1: Universe) -> None:
    import shutil

    before = uc1.world()
    for name in ("dvc", "cache", "runs"):
        shutil.rmtree(uc1.state / name, ignore_errors=True)
    for path in uc1.state.glob("ledger.db*"):
        path.unlink()
    uc1.states()
    assert uc1.world() == before


def test_the_report_shows_gates_checks_and_metrics_of_every_step(uc1: Universe) -> None:
    newest = max(uc1.state.glob("runs/*/report.html"), key=lambda path: path.stat().st_mtime)
    html = newest.read_text()
    for said in ("logistic_regression", "gradient_boosting", "roc_auc", "expectations", "golden", "data:image/png"):
        assert said in html, said
    assert "<script" not in html


def test_the_audit_trail_holds(uc1: Universe) -> None:
    assert Ledger(uc1.state / "ledger.db").first_bad_entry() is None


def test_any_step_runs_alone_from_any_directory(uc1: Universe) -> None:
    alone = uc1.run("--force", script="uc1_03_data_validation_ge.py")
    assert alone.returncode == 0, alone.stderr
    assert "taking an earlier result" in alone.stderr


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("uc1.table=customers_later", "and the latest one is of customers_{name}, not of customers_later."),
        ("uc1.label=gone", "and the latest one was made with churned as uc1.label, not gone."),
        ("uc1.raw_data_path=raw/later.parquet", ".parquet, not in s3://"),
    ],
)
def test_a_lone_step_takes_no_result_that_is_about_something_else(uc1: Universe, setting: str, said: str) -> None:
    alone = uc1.run("--set", setting, script="uc1_03_data_validation_ge.py")
    assert alone.returncode == 2, alone.stderr
    assert "uc1_03_data_validation_ge needs RawCustomers" in alone.stderr
    assert said.format(name=uc1.name) in alone.stderr
    assert "run_pipeline.py --until 02` first" in alone.stderr


@pytest.mark.deep
def test_one_new_row_is_noticed_and_runs_what_depends_on_it(uc1: Universe) -> None:
    before = uc1.world()
    table = f"customers_{uc1.name}"
    uc1.sql(f"INSERT INTO {table} SELECT * FROM customers WHERE customer_id = (SELECT max(customer_id) FROM customers)")
    assert uc1.states() == dict.fromkeys(("01", "02", "03", "04", "05"), "done") | {"06": "done"}
    after = uc1.world()
    assert len(after["commits"].splitlines()) == len(before["commits"].splitlines()) + 1
    assert len(after["versions"]) == len(before["versions"]) + 2
    assert after["champion"] == "1"
    assert uc1.states() == UNCHANGED
