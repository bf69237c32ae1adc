"""Every step of UC1 and UC4, killed at points spread over it and run again: the undisturbed world."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import EmbeddedPlatform
from tests.kill.steps import FEWER, POINTS, Pair
from tests.kill.zygote import Zygote
from tests.uc1.universe import STEPS, Universe
from uc4_data_lineage.uc4_02_query_lineage_marquez import around

pytestmark = [pytest.mark.deep, pytest.mark.timeout(1800)]
HEAVY = (
    "pandas", "pyarrow.parquet", "pyarrow.fs", "boto3", "psycopg2", "adbc_driver_postgresql.dbapi", "mlflow",
    "great_expectations", "feast", "sklearn.linear_model", "kfp", "openlineage.client",
)  # fmt: skip
HEAVY_STEPS = [STEPS[f"uc1_0{number}"] for number in (1, 3, 4, 5)]


@pytest.fixture(scope="module")
def pair(_traceable: None, platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    place = tmp_path_factory.mktemp("universes")
    calm, killed = (Universe(name, place, platform.state).prepare(1500) for name in ("calmtraining", "killtraining"))
    with Zygote(HEAVY) as zygote:
        yield Pair(zygote, calm, killed)


@pytest.mark.parametrize("step", STEPS.values())
def test_killed_anywhere_in_a_step_of_training_and_run_again_the_world_is_the_undisturbed_one(
    pair: Pair, step: str
) -> None:
    points = POINTS if step in HEAVY_STEPS else FEWER
    pair.step(f"{step}.py", points=points)


LINEAGE = ("uc4_01_emit_lineage_openlineage", "uc4_02_query_lineage_marquez")


def lineage(world: Universe) -> Any:
    """What the server knows around the table: nodes and edges."""
    _, graph = around(world.tools)
    return sorted(graph.nodes), sorted(graph.edges)


@pytest.mark.parametrize("step", LINEAGE)
def test_killed_anywhere_in_a_step_of_lineage_and_run_again_the_world_is_the_undisturbed_one(
    pair: Pair, step: str
) -> None:
    pair.more = lineage
    pair.step(f"{step}.py", points=FEWER)
