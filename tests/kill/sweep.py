"""Every point of an effect: harm there, look as a reader would, act again, and compare with the undisturbed world."""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.kill.effects import EFFECTS
from tests.kill.syscalls import CALLS
from tests.kill.tracer import Harm, Outcome
from tests.kill.zygote import Job, Zygote

MODES = ("before", "torn", "after")


@dataclass
class Sweep:
    """One effect, in a fresh directory for each point."""

    zygote: Zygote
    name: str
    directory: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        place = self.prepared()
        self.calls = self.act(place, record=True).calls
        self.undisturbed = EFFECTS[self.name].world(place)

    def prepared(self) -> Path:
        place = self.directory / f"{next(self._numbers)}"
        place.mkdir()
        EFFECTS[self.name].prepare(place)
        return place

    def act(self, place: Path, harm: Harm | None = None, record: bool = False) -> Outcome:
        env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "MLOPS_STATE_DIR": str(place)}
        output = str(self.directory / "output.txt")
        job = Job(env, output, call="tests.kill.effects:act", arguments=(self.name, str(place)), seconds=60)
        return self.zygote.run(job, harm, record)

    def harms(self, modes: tuple[str, ...] = MODES) -> Iterator[Harm]:
        """All of them; only a write can be torn."""
        for at, call in enumerate(self.calls, 1):
            for mode in modes:
                if mode != "torn" or (CALLS[call.name].length is not None and call.result > 1):
                    yield Harm(mode, at)

    def kill_at_every_point(self, modes: tuple[str, ...] = MODES) -> int:
        """Returns how many points there were; each converged to the undisturbed world."""
        points = list(self.harms(modes))
        for harm in points:
            self.kill(harm)
        return len(points)

    def kill(self, harm: Harm) -> None:
        outcome = self._survived(harm)
        assert (outcome.harmed, outcome.status) == (True, -9), self._at(harm)

    def refuse(self, harm: Harm) -> bool:
        """Returns whether anything was refused: not every call needs room on a disk."""
        return self._survived(harm).harmed

    def _survived(self, harm: Harm) -> Outcome:
        effect, place = EFFECTS[self.name], self.prepared()
        outcome = self.act(place, harm)
        try:
            effect.whole(place)
            again = self.act(place)
            assert again.status == 0, (self.directory / "output.txt").read_text()[-2000:]
            assert effect.world(place) == self.undisturbed
        except AssertionError as error:
            raise AssertionError(self._at(harm)) from error
        return outcome

    def _at(self, harm: Harm) -> str:
        return f"{self.name}: {harm} of {len(self.calls)}, {self.calls[harm.at - 1][1:3]}"
