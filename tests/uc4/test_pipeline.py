"""UC4 as a user runs it, after the first steps of UC1 on the real platform."""

import json
import subprocess
import sys
from typing import Any

import pytest

from common.paths import ROOT
from tests.conftest import EmbeddedPlatform
from tests.uc1.universe import Universe


@pytest.fixture(scope="module")
def world(platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> Universe:
    """A universe in which UC1 has taken, versioned and checked its snapshot."""
    made = Universe("lineage", tmp_path_factory.mktemp("universes"), platform.state).prepare(500)
    made.states("--until", "03")
    return made


def uc4(world: Universe, *args: str, script: str = "run_pipeline.py", code: int = 0, **env: str) -> Any:
    done = subprocess.run(
        [sys.executable, str(ROOT / "uc4_data_lineage" / script), *args], env={**world.env, **env}, cwd="/",
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == code, done.stderr[-3000:]
    return done


def steps(done: Any) -> dict[str, Any]:
    return {step["step"][4:6]: step for step in json.loads(done.stdout)["steps"]}


FOCUS = "customers_lineage"


def test_what_ran_is_stored_and_the_impact_of_the_table_is_told(world: Universe) -> None:
    made = steps(uc4(world, FOCUS, "--json"))
    stored, impact = made["01"]["result"], made["02"]["result"]
    assert stored["due"] == stored["stored"] > 6
    assert (stored["doubled"], stored["dead"]) == (0, [])
    assert "raw/customers" in impact["sentence"]
    assert {"table", "object", "data_repository", "job"} <= {node["kind"] for node in impact["nodes"]}
    store = world.tools.minio
    assert b"customers_lineage" in store.get_bytes(store.key(impact["page"]))
    assert store.get_bytes(store.key(impact["picture"])).startswith(b"<svg")
    again = steps(uc4(world, FOCUS, "--json"))
    assert [step["state"] for step in again.values()] == ["unchanged", "unchanged"]


def test_the_answer_is_text_on_stdout_and_up_and_down_differ(world: Universe) -> None:
    query = "uc4_02_query_lineage_marquez.py"
    down = uc4(world, FOCUS, "--direction", "down", script=query).stdout
    assert "If customers_lineage changes:" in down
    assert "is made from" not in down
    up = uc4(world, "--direction", "up", "raw/customers", "--depth", "1", script=query).stdout
    assert "raw/customers is made from:" in up
    assert "customers_lineage" in up


def test_an_unknown_name_is_a_usage_error(world: Universe) -> None:
    done = uc4(world, "no-such-thing", code=2)
    assert "Lineage knows no dataset, model, service or step called no-such-thing." in done.stderr


def test_a_server_that_lost_everything_is_sent_everything_again(world: Universe) -> None:
    before = steps(uc4(world, FOCUS, "--json"))["01"]
    space = world.settings.marquez.namespace
    _sql(world, f"DELETE FROM lineage_events WHERE job_namespace = '{space}'")
    mended = steps(uc4(world, FOCUS, "--json"))["01"]
    assert mended["state"] == "done"
    assert mended["result"]["sent"] >= before["result"]["due"]
    assert steps(uc4(world, FOCUS, "--json"))["01"]["state"] == "unchanged"


def test_without_the_server_the_run_of_others_goes_on_and_uc4_says_what_is_wrong(world: Universe) -> None:
    nobody = {
        "MLOPS_MARQUEZ__EMBEDDED": "false",
        "MLOPS_MARQUEZ__URL": "http://127.0.0.1:9",
        "MLOPS_RETRY_SECONDS": "0",
    }
    assert set(world.states("--until", "02", **nobody).values()) == {"unchanged"}
    done = uc4(world, code=69, **nobody)
    assert "Lineage could not be sent: The lineage server at http://127.0.0.1:9 does not answer" in done.stderr


def _sql(world: Universe, statement: str) -> None:
    """Run a statement in the lineage server's own database."""
    import sqlalchemy as sa

    engine = sa.create_engine(world.settings.postgres.url().set(database="marquez"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text(statement))
