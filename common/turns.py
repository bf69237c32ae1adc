"""Several pipelines in one run: whose turn comes when, and which turns fall away.

    TURNS = [Turn(uc1.PIPELINE), Turn(uc2.PIPELINE, stands_on=("uc1",)), ...]

A refusal (exit 3) ends the run where the pipeline says so; any other failure ends it, unless --keep-going was said.
Then the pipelines that stand on the failed one fall away, and the others have their turn.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from common.errors import ExitCode, UsageError
from common.failures import Failure
from common.pipeline import Pipeline
from common.step import Step

if TYPE_CHECKING:
    from common.runner import Outcome
    from common.settings import Settings

Part = tuple["Turn", tuple[Step, ...]]


@dataclass(frozen=True)
class Turn:
    """A pipeline's turn; it falls away where one of those that it `stands_on` failed, was refused or fell away.

    With `if_proposed_by` it comes only where that pipeline has just made something that waits to be tried, and with
    `if_set` only where that setting is not empty: the address of a service that not everybody has.
    """

    pipeline: Pipeline
    stands_on: tuple[str, ...] = ()
    if_proposed_by: str = ""
    if_set: str = ""

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self.pipeline.name


def turns_of(pipelines: Sequence["Pipeline | Turn"]) -> tuple[Turn, ...]:
    """Bare pipelines as turns that always come."""
    return tuple(each if isinstance(each, Turn) else Turn(each) for each in pipelines)


def chosen(turns: Sequence[Turn], from_step: str | None, until: str | None) -> list[Part]:
    """The steps of each turn between two of them, both included.

    One pipeline goes by numbers such as 04; several go by names, or their beginnings: uc3, uc3_02. A pipeline that has
    two turns ends the part with the first of them that does not come before its beginning.
    """
    if len(turns) == 1:
        return [(turns[0], turns[0].pipeline.selected(from_step, until))]
    places = [(n, step) for n, turn in enumerate(turns) for step in turn.pipeline.steps]
    first = _matching("--from-step", places, from_step)[0] if from_step else 0
    last = len(places) - 1
    if until:
        after = [n for n in _matching("--until", places, until) if n >= first]
        if not after:
            raise UsageError(f"--from-step {from_step} comes after --until {until}.")
        last = next(n for n in reversed(after) if places[n][0] == places[after[0]][0])
    kept = places[first : last + 1]
    parts = [(turn, tuple(step for n, step in kept if n == number)) for number, turn in enumerate(turns)]
    return [(turn, steps) for turn, steps in parts if steps]


def configured(parts: Sequence[Part], settings: "Settings") -> list[Part]:
    """Without the turns whose service is not configured. Where nothing else is asked for, the step itself says so."""
    return [(turn, steps) for turn, steps in parts if not turn.if_set or settings.at(turn.if_set)] or list(parts)


def steps_of(parts: Sequence[Part]) -> tuple[Step, ...]:
    """Every step once, in order: a pipeline may have two turns."""
    return tuple(dict.fromkeys(step for _, steps in parts for step in steps))


def _matching(flag: str, places: Sequence[tuple[int, Step]], beginning: str) -> list[int]:
    found = [n for n, (_, step) in enumerate(places) if step.name.startswith(beginning)]
    if not found:
        known = ", ".join(dict.fromkeys(step.name.split("_")[0] for _, step in places))
        raise UsageError(
            f"{flag} {beginning}: no step begins so; there are those of {known}.", "Say for example uc2, or uc2_03."
        )
    return found


@dataclass
class Course:
    """How a run of several pipelines goes: what failed so far, and whether the next turn comes."""

    keep_going: bool = False
    failures: list[Failure] = field(default_factory=list)
    _out: dict[str, str] = field(default_factory=dict)
    _proposed: set[str] = field(default_factory=set)
    _ended: bool = False

    def coming(self, parts: Sequence[Part]) -> Iterator[tuple[Part, str]]:
        """Each turn that comes or falls away, with why it falls away, else ""."""
        for turn, steps in parts:
            if self._ended:
                return
            if turn.if_proposed_by and turn.if_proposed_by not in self._proposed:
                continue
            why = next((self._out[name] for name in turn.stands_on if name in self._out), "")
            if why:
                self._out.setdefault(turn.name, why)
            yield (turn, steps), why

    def note(self, turn: Turn, failure: Failure | None, outcomes: "Sequence[Outcome]") -> None:
        """Take in how a turn ended."""
        if any(each.result and each.state == "done" and each.result.proposes for each in outcomes):
            self._proposed.add(turn.name)
        if failure is None:
            return
        self.failures.append(failure)
        refused = failure.code == ExitCode.GATE_REFUSED
        self._out[turn.name] = f"{turn.name} {'was refused' if refused else 'failed'}"
        interrupted = failure.code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED)
        self._ended = interrupted or (turn.pipeline.gate_stops if refused else not self.keep_going)
