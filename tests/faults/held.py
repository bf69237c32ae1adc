"""Runs the cells of a step and a service, and holds each against the table, and the world against itself."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.faults.matrix import TOUCHED, Cell, cells, is_run_each_time
from tests.faults.stage import SCRIPTS, Seen, Stage
from tests.uc1.universe import Universe
from tests.uc2.world import World
from tests.uc6.world import Deployments

BUG = 70


def picture(world: Universe) -> dict[str, Any]:
    """What is there outside the ledger."""
    seen = world.world()
    if isinstance(world, World):
        seen["experiments"] = [each["metadata"]["name"] for each in world.experiments()]
        seen["percent"] = world.percent()
    if isinstance(world, Deployments):
        seen["deployments"] = world.commits()
        seen["application"] = world.application().get("spec")
    return dict(json.loads(json.dumps(seen, default=str)))


@dataclass
class Held:
    """What of the cells was not as the table says, one line each."""

    stage: Stage
    wrong: list[str] = field(default_factory=list)

    def hold(self, step: str, of_step: Iterable[Cell]) -> None:
        """An undisturbed run, every cell, and an undisturbed run again: nothing has changed in between."""
        calm = self.stage.run(step)
        assert calm.code == 0, calm.said[-3000:]
        before = picture(self.stage.world)
        for cell in of_step:
            self._one(cell)
        assert picture(self.stage.world) == before, f"{step} changed the world in a cell"
        after = self.stage.run(step)
        assert after.code == 0, after.said[-3000:]
        assert picture(self.stage.world) == before, f"{step} changed the world after its cells"

    def _one(self, cell: Cell) -> None:
        good = self.stage.good_ends(cell.step)
        seen = self.stage.run(cell.step, service=cell.service, fault=cell.fault, since=cell.since)
        ended_well = self.stage.good_ends(cell.step) > good
        where = f"{cell.step} {cell.service} {cell.fault} from {cell.since}"
        print(f"{where}: exit {seen.code}, {seen.tries} tries, {seen.seconds} s: {seen.sentence}")
        for problem in self._problems(cell, seen, ended_well):
            self.wrong.append(f"{where}: {problem} | {seen.sentence}")

    def _problems(self, cell: Cell, seen: Seen, ended_well: bool) -> Iterable[str]:
        if seen.code is None:
            yield "it did not end"
        if seen.code != cell.expected.code:
            yield f"exit {seen.code}, not {cell.expected.code}"
        if cell.expected.code and not _is_tried(cell, seen):
            yield f"{seen.tries} tries, not {cell.expected.tries}"
        if ended_well != (cell.expected.code == 0):
            yield "the ledger says something else than the exit code"
        if "Traceback" in seen.said or seen.code == BUG:
            yield "a traceback, or a bug"
        if cell.expected.code and not _is_named(self.stage, cell, seen):
            yield "the sentence does not name the service's address, or the object"
        if any(secret in seen.said for secret in self.stage.secrets()):
            yield "a secret was printed"


def _is_tried(cell: Cell, seen: Seen) -> bool:
    if cell.service == "marquez" and cell.step == "uc4_01":
        # The relay of the run is at the same door; and nobody sees who knocks at a closed one.
        return cell.fault == "refused" or seen.strikes >= cell.expected.tries
    if (cell.service, cell.fault) == ("git", "stall"):
        return 1 <= seen.tries <= cell.expected.tries  # curl looks at the last seconds, and nobody scales those
    if cell.fault in ("black hole", "stall") and cell.expected.tries > 1:
        return 2 <= seen.tries <= cell.expected.tries  # as many as fit into the policy's time
    return seen.tries == cell.expected.tries


def _is_named(stage: Stage, cell: Cell, seen: Seen) -> bool:
    if cell.expected.code == 1:
        return stage.world.name in seen.sentence  # the object that is gone, or that others write
    return str(stage.proxies.of[cell.service].port) in seen.sentence


def step_file(step: str) -> str:
    """The script's name."""
    return SCRIPTS[step].stem


def hold_every_cell(stage: Stage, step: str, service: str) -> None:
    """Run the cells of a step and a service, and fail with everything that was otherwise."""
    held = Held(stage)
    is_all = os.environ.get("FAULTS") == "all"
    held.hold(step, (cell for cell in cells(step, service) if is_all or is_run_each_time(cell)))
    assert not held.wrong, "\n".join(held.wrong)


def hold_what_is_touched(stage: Stage, step: str) -> None:
    """An undisturbed run asks the services of the table, and no others."""
    touched = {service for service, count in stage.run(step).requests.items() if count}
    assert touched - {"marquez"} == set(TOUCHED[step]) - {"marquez"}
