"""Both steps of UC3, killed at points spread over them and run again: drift is found once, and answered once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import EmbeddedPlatform
from tests.kill.steps import Pair
from tests.kill.zygote import Zygote
from tests.uc3.drifting_world import DriftingWorld

pytestmark = [pytest.mark.deep, pytest.mark.timeout(1800)]
HEAVY = ("pandas", "pyarrow.parquet", "boto3", "psycopg2", "mlflow", "evidently", "kfp", "openlineage.client")


@pytest.fixture(scope="module")
def zygote(_traceable: None) -> Iterator[Zygote]:
    with Zygote(HEAVY) as zygote:
        yield zygote


def answered(world: DriftingWorld) -> Any:
    """Versions and what they answer; who is candidate."""
    versions = world.tools.mlflow.versions(world.model_name)
    candidate = world.tools.mlflow.candidate(world.model_name)
    return [(v.version, v.state, "answers_drift" in v.tags) for v in versions], candidate and candidate.version


def test_drift_whose_finding_and_answer_are_killed_anywhere_is_answered_once(
    zygote: Zygote, tmp_path: Path, platform: EmbeddedPlatform
) -> None:
    calm, killed = (DriftingWorld(name, tmp_path, platform.state).seed() for name in ("calmdrift", "killdrift"))
    pair = Pair(zygote, calm, killed, answered)
    for script in ("uc3_01_drift_detection_evidently", "uc3_02_trigger_retrain_kubeflow"):
        pair.step(f"{script}.py")
