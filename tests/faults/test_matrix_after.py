"""The matrix of the use cases that come after UC1. See docs/reference/faults.md."""

from collections.abc import Iterator

import pytest

from tests.conftest import EmbeddedPlatform
from tests.faults.held import hold_every_cell, hold_what_is_touched
from tests.faults.matrix import TOUCHED
from tests.faults.stage import Stage, staged
from tests.faults.worlds import Everything

pytestmark = [pytest.mark.deep, pytest.mark.timeout(2400)]
# Each leaves a world in which the next has something to do.
STEPS = ["uc5_01", "uc5_02", "uc6_01", "uc6_02", "uc3_01", "uc3_02", "uc4_01", "uc4_02", "uc2_01", "uc2_02", "uc2_03"]


@pytest.fixture(scope="module")
def stage(platform: EmbeddedPlatform) -> Iterator[Stage]:
    with staged(Everything, "troubled", platform.state) as (world, stage):
        world.seed()
        yield stage


@pytest.mark.parametrize(("step", "service"), [(step, service) for step in STEPS for service in TOUCHED[step]])
def test_a_service_in_trouble_is_told_and_nothing_is_left_behind(step: str, service: str, stage: Stage) -> None:
    hold_every_cell(stage, step, service)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_touches_what_the_table_says(step: str, stage: Stage) -> None:
    hold_what_is_touched(stage, step)
