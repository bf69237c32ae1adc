"""A pipeline: a name and a list of step modules, checked when it is declared.

PIPELINE = Pipeline("uc1", [ingestion, versioning, validation, features, training, serving])
"""

from collections.abc import Sequence
from types import ModuleType

from common.errors import UsageError
from common.flags import flags_of
from common.step import Step


class Pipeline:
    """Steps in order. Raises TypeError when a step wants a type that no earlier step makes.

    `gate_stops` says whether a refusal by one of its gates (exit 3) also ends the pipelines that come after it: a
    canary that was rolled back leaves everything as good as it was.
    """

    def __init__(self, name: str, modules: Sequence[ModuleType], checked: bool = True, gate_stops: bool = True) -> None:
        self.name, self.gate_stops = name, gate_stops
        self.steps: tuple[Step, ...] = tuple(module.run for module in modules)
        self.flags = flags_of(modules)
        if checked:
            self._check()

    def _check(self) -> None:
        made: set[type] = set()
        for step in self.steps:
            for wanted in step.inputs():
                if wanted not in made:
                    raise TypeError(f"{step.name} wants {wanted.__name__}, which no earlier step of {self.name} makes.")
            made.add(step.output())

    def selected(self, from_step: str | None, until: str | None) -> tuple[Step, ...]:
        """The steps from one number to another, both included. Raises UsageError for a number that is not there."""
        numbers = [step.number for step in self.steps]
        for flag, number in (("--from-step", from_step), ("--until", until)):
            if number and number.zfill(2) not in numbers:
                raise UsageError(f"{flag} {number}: {self.name} has the steps {', '.join(numbers)}.")
        first = numbers.index(from_step.zfill(2)) if from_step else 0
        last = numbers.index(until.zfill(2)) if until else len(numbers) - 1
        if first > last:
            raise UsageError(f"--from-step {from_step} comes after --until {until}.")
        return self.steps[first : last + 1]
