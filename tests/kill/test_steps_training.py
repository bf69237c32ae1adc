"""Every step of UC1 and UC4, killed at points spread over it and run again: the undisturbed world."""

from collections.abc import Iterator

import pytest

from tests.conftest import EmbeddedPlatform
from tests.kill.steps import POINTS, Pair
from tests.kill.zygote import Zygote
from tests.uc1.universe import STEPS, Universe

pytestmark = [pytest.mark.deep, pytest.mark.timeout(1800)]
HEAVY = (
    "pandas", "pyarrow.parquet", "pyarrow.fs", "boto3", "psycopg2", "adbc_driver_postgresql.dbapi", "mlflow",
    "great_expectations", "feast", "sklearn.linear_model", "kfp", "openlineage.client",
)  # fmt: skip


@pytest.fixture(scope="module")
def pair(platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    place = tmp_path_factory.mktemp("universes")
    calm, killed = (Universe(name, place, platform.state).prepare(1500) for name in ("calmly", "killed"))
    with Zygote(HEAVY) as zygote:
        yield Pair(zygote, calm, killed)


@pytest.mark.parametrize("step", STEPS.values())
def test_killed_anywhere_in_a_step_of_training_and_run_again_the_world_is_the_undisturbed_one(
    pair: Pair, step: str
) -> None:
    assert pair.step(f"{step}.py") == POINTS
