"""The matrix of UC1: every step, every service that it touches, every fault. See docs/reference/faults.md."""

from collections.abc import Iterator

import pytest

from tests.conftest import EmbeddedPlatform
from tests.faults.held import hold_every_cell, hold_what_is_touched
from tests.faults.matrix import TOUCHED
from tests.faults.stage import Stage, staged
from tests.uc1.universe import Universe

pytestmark = [pytest.mark.deep, pytest.mark.timeout(2400)]
STEPS = [step for step in TOUCHED if step.startswith("uc1")]


@pytest.fixture(scope="module")
def stage(platform: EmbeddedPlatform) -> Iterator[Stage]:
    with staged(Universe, "faulty", platform.state) as (world, stage):
        world.prepare(1500)
        stage.prepare("uc1_churn_prediction")
        yield stage


@pytest.mark.parametrize(("step", "service"), [(step, service) for step in STEPS for service in TOUCHED[step]])
def test_a_service_in_trouble_is_told_and_nothing_is_left_behind(step: str, service: str, stage: Stage) -> None:
    hold_every_cell(stage, step, service)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_touches_what_the_table_says(step: str, stage: Stage) -> None:
    hold_what_is_touched(stage, step)
