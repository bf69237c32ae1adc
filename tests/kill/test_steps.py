"""Steps of the use cases, killed at points spread over them and run again: the undisturbed world."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import EmbeddedPlatform
from tests.kill.steps import FEWER, Pair
from tests.kill.zygote import Zygote
from tests.uc2.world import World
from tests.uc5.world import FairnessWorld
from tests.uc6.world import Deployments

pytestmark = [pytest.mark.deep, pytest.mark.timeout(1800)]
HEAVY = (
    "pandas", "pyarrow.parquet", "boto3", "psycopg2", "adbc_driver_postgresql.dbapi", "mlflow", "matplotlib.figure",
    "fairlearn.metrics", "openlineage.client",
)  # fmt: skip


@pytest.fixture(scope="module")
def zygote(_traceable: None) -> Iterator[Zygote]:
    with Zygote(HEAVY) as zygote:
        yield zygote


def pair_of(kind: type[Any], zygote: Zygote, place: Path, platform: EmbeddedPlatform, more: Any) -> Pair:
    """Names of their own: what another use case's pair has left is on the same platform."""
    names = (f"{how}{kind.__name__.lower()}" for how in ("calm", "kill"))
    calm, killed = (kind(name, place, platform.state).seed() for name in names)
    return Pair(zygote, calm, killed, more)


def canary(world: World) -> Any:
    """Who is served and tried, how often an experiment was made, and who is champion."""
    made = len(world.experiments())
    return world.served(), world.percent(), world.states_of_versions(), made, world.champion()


def test_a_canary_that_is_killed_anywhere_ends_as_the_undisturbed_one(
    zygote: Zygote, tmp_path: Path, platform: EmbeddedPlatform
) -> None:
    pair = pair_of(World, zygote, tmp_path, platform, canary)
    for script in ("uc2_01_deploy_canary_kserve", "uc2_02_create_experiment_iter8"):
        pair.step(f"{script}.py", points=FEWER)
    pair.step("uc2_03_monitor_experiment.py")


def documented(world: FairnessWorld) -> Any:
    """Tags of both versions, the pages and the cards."""
    tags = [sorted(world.now(version).tags) for version in ("1", "2")]
    return tags, sorted(world.objects("fairness/")), sorted(world.objects("cards/"))


def test_fairness_and_card_that_are_killed_anywhere_end_as_the_undisturbed_ones(
    zygote: Zygote, tmp_path: Path, platform: EmbeddedPlatform
) -> None:
    pair = pair_of(FairnessWorld, zygote, tmp_path, platform, documented)
    pair.step("uc5_01_fairness_analysis_wit.py")
    pair.step("uc5_02_generate_model_card.py", points=FEWER)


def delivered(world: Deployments) -> Any:
    """Commits, every file at the branch's head, what Argo CD was told, and what runs in production."""
    files = world.at_remote("ls-tree", "-r", "--name-only", "main").split()
    told = {file: world.at_remote("show", f"main:{file}") for file in files}
    application = world.application().get("spec", {})
    return world.commits(), told, application, (world.live() or {}).get("spec")


def test_a_promotion_that_dies_anywhere_is_one_commit_and_what_runs_is_it(
    zygote: Zygote, tmp_path: Path, platform: EmbeddedPlatform
) -> None:
    pair = pair_of(Deployments, zygote, tmp_path, platform, delivered)
    for script in ("uc6_01_promote_model_git.py", "uc6_02_sync_argocd.py"):
        pair.step(script, points=FEWER)
