"""The matrix of the use cases that come after UC1. See docs/reference/faults.md."""

from collections.abc import Iterator

import pytest

from tests.conftest import EmbeddedPlatform
from tests.faults.held import Held
from tests.faults.matrix import TOUCHED, cells, welcome_cells
from tests.faults.stage import Stage, staged
from tests.faults.worlds import Everything

pytestmark = [pytest.mark.deep, pytest.mark.timeout(2400)]
STEPS = ["uc5_01", "uc5_02", "uc6_01", "uc6_02", "uc4_01", "uc4_02", "uc3_01", "uc3_02", "uc2_01", "uc2_02"]
WITHOUT_LINEAGE = [step for step in STEPS if not step.startswith("uc4")]


@pytest.fixture(scope="module")
def stage(platform: EmbeddedPlatform) -> Iterator[Stage]:
    with staged(Everything, "troubled", platform.state) as (world, stage):
        world.env["MLOPS_UC4__FOCUS"] = world.seed().model_name
        yield stage


@pytest.mark.parametrize(("step", "service"), [(step, service) for step in STEPS for service in TOUCHED[step]])
def test_a_service_in_trouble_is_told_and_nothing_is_left_behind(step: str, service: str, stage: Stage) -> None:
    held = Held(stage)
    held.hold(step, cells(step, service))
    assert held.wrong == []


@pytest.mark.parametrize("step", WITHOUT_LINEAGE)
def test_a_step_touches_what_the_table_says_and_does_without_lineage(step: str, stage: Stage) -> None:
    calm = stage.run(step)
    assert {service for service, count in calm.requests.items() if count} - {"marquez"} == set(TOUCHED[step])
    held = Held(stage)
    held.hold(step, welcome_cells(step))
    assert held.wrong == []
