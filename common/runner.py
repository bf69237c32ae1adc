"""Runs a pipeline's steps: finds their inputs, skips what is unchanged, notes everything in the ledger."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from common.errors import Expired, GateRefused, Interrupted, UsageError
from common.failures import Failure, explain
from common.keys import code_digest, digest_of, lock_digest
from common.ledger import Event, Ledger
from common.logger import bound, get_logger
from common.settings import Settings
from common.step import Result, Step
from common.tools import Context, Tools
from common.watch import Watch

log = get_logger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How a step of this run ended: done, unchanged, failed, interrupted - or skipped, and `why`.

    It has a result, a failure, or both: a gate that refuses may say what it found.
    """

    step: Step
    state: str
    seconds: float
    result: Result | None = None
    failure: Failure | None = None
    why: str = ""

    @property
    def said(self) -> str:
        """One line: why it failed or was skipped, and what it made or found."""
        cause = self.failure.cause if self.failure else self.why
        return " ".join(part for part in (cause, self.result.summary() if self.result else "") if part)


class Runner:
    """One run. Results of this run come before those of the ledger."""

    def __init__(
        self, tools: Tools, ledger: Ledger, watch: Watch, run_id: str, force: bool = False, seconds: float = math.inf
    ) -> None:
        """`force` runs what is unchanged as well; `seconds` is what all steps together may take."""
        self._tools, self._ledger, self._watch, self._run, self._force = tools, ledger, watch, run_id, force
        self._seconds, self._end = seconds, time.monotonic() + seconds
        self._results: dict[type[Result], Result] = {}
        self.outcomes: list[Outcome] = []

    def run(self, steps: Sequence[Step]) -> Failure | None:
        """Run the steps until one fails; what failed is returned and noted, not raised."""
        for step in steps:
            with bound(step=step.name):
                outcome = self._outcome(step)
            self.outcomes.append(outcome)
            if outcome.failure:
                return outcome.failure
        return None

    def skip(self, steps: Sequence[Step], why: str) -> None:
        """Note that these steps have no turn in this run."""
        for step in steps:
            log.warning("skipped", of=step.name, why=why)
            self.outcomes.append(Outcome(step, "skipped", 0.0, why=f"{why} in this run."))

    def _outcome(self, step: Step) -> Outcome:
        started = time.monotonic()
        left = max(self._end - started, 0)
        whose = (step.name, step.deadline_seconds) if step.deadline_seconds < left else ("The run", self._seconds)
        try:
            with self._watch.deadline(min(step.deadline_seconds, left), *whose):
                state, result = self._resolved(step)
        except (Exception, Interrupted, Expired) as error:  # where a step ends: whatever it was is noted and explained
            return self._failed(step, error, time.monotonic() - started)
        self._results[type(result)] = result
        seconds = time.monotonic() - started
        log.info(state, result=result.summary(), seconds=round(seconds, 1))
        return Outcome(step, state, seconds, result)

    def _resolved(self, step: Step) -> tuple[str, Result]:
        inputs = tuple(self._input(step, wanted) for wanted in step.inputs())
        static = static_key(step, inputs, self._tools.settings)
        last = self._ledger.latest_good(step.name)
        key = _key(static, step, self._tools) if last and not (step.always or self._force) else ""
        if last and key and last.body["key"] == key:
            result = result_of(last, step.output())
            self._note_end(step, "unchanged", result, static, key, 0.0)
            return "unchanged", result
        return self._executed(step, inputs, static, last)

    def _executed(self, step: Step, inputs: tuple[Result, ...], static: str, last: Event | None) -> tuple[str, Result]:
        started = time.monotonic()
        log.info("running", promise=step.promise)
        about = {"static_key": static, "file": step.file, "promise": step.promise}
        self._ledger.append(self._run, "step_started", step.name, body=about)
        tools = self._tools.within(Context(self._run, step.name, static, _Effects(self._ledger, self._run, step.name)))
        result = step(tools, *inputs)
        same = step.always and last is not None and _is_same(last, result)
        state = "unchanged" if same or result.changed_nothing else "done"
        key = "" if result.is_provisional else _key(static, step, self._tools)
        self._note_end(step, state, result, static, key, time.monotonic() - started)
        return state, result

    def _note_end(self, step: Step, state: str, result: Result, static: str, key: str, seconds: float) -> None:
        body = {"key": key, "static_key": static, "seconds": round(seconds, 3), **_noted(result)}
        self._ledger.append(self._run, "step_ended", step.name, state, type(result).__name__, body)

    def _failed(self, step: Step, error: BaseException, seconds: float) -> Outcome:
        failure = explain(error)
        state = "interrupted" if isinstance(error, Interrupted) else "failed"
        result = error.result if isinstance(error, GateRefused) else None
        noted = _noted(result) if result else {}
        body = {"seconds": round(seconds, 3), "code": int(failure.code), "cause": failure.cause, **noted}
        name = type(result).__name__ if result else ""
        self._ledger.append(self._run, "step_ended", step.name, state, name, body)
        return Outcome(step, state, seconds, result, failure)

    def _input(self, step: Step, wanted: type[Result]) -> Result:
        if wanted in self._results:
            return self._results[wanted]
        found = earlier(self._ledger, wanted, self._tools.settings)
        if found is None:
            raise UsageError(
                f"{step.name} needs {wanted.__name__}, and {why_none(self._ledger, wanted, self._tools.settings)}.",
                f"Run `python {step.path.parent.name}/run_pipeline.py --until {int(step.number) - 1:02}` first.",
            )
        event, result = found
        log.info("taking an earlier result", type=wanted.__name__, of=event.step, age=_age(event.at))
        return self._results.setdefault(wanted, result)


@dataclass(frozen=True)
class _Effects:
    ledger: Ledger
    run: str
    step: str

    def effect(self, kind: str, target: str, facts: dict[str, Any]) -> None:
        self.ledger.append(self.run, "effect", self.step, kind, body={"target": target, **facts})

    def knows(self, kind: str, target: str, facts: dict[str, Any]) -> bool:
        noted = self.ledger.latest_effect(self.step, kind, target)
        return noted is not None and noted.body == {"target": target, **facts}


def static_key(step: Step, inputs: tuple[Result, ...], settings: Settings) -> str:
    """Everything that decides the outcome but the world: inputs, settings, code, libraries, which servers."""
    return digest_of(
        {
            "step": step.name,
            "inputs": [item.identity() for item in inputs],
            "settings": {path: _plain(settings.at(path)) for path in step.settings},
            "places": {name: _place(settings, name) for name in step.needs},
            "code": code_digest(step.path),
            "lock": lock_digest(),
        }
    )


def earlier(ledger: Ledger, wanted: type[Result], settings: Settings) -> tuple[Event, Result] | None:
    """The newest good result of this type that is about what the settings name, and where it is noted.

    Raises UsageError where another version of the class wrote the newest of all; older ones are passed over.
    """
    for number, event in enumerate(ledger.results(wanted.__name__)):
        try:
            result = result_of(event, wanted)
        except UsageError:
            if number == 0:
                raise
            continue
        if not result.differs(settings):
            return event, result
    return None


def why_none(ledger: Ledger | None, wanted: type[Result], settings: Settings) -> str:
    """Why there is no earlier result of this type, as part of a sentence."""
    newest = next(ledger.results(wanted.__name__), None) if ledger else None
    if newest is None:
        return "no step has made one yet"
    return f"the latest one {result_of(newest, wanted).differs(settings)}"


def result_of(event: Event, wanted: type[Result]) -> Result:
    """The result that an event holds. Raises UsageError where the class has changed since it was written."""
    try:
        return wanted.model_validate(event.body["result"])
    except ValidationError:
        raise UsageError(
            f"The latest {wanted.__name__}, of {event.at[:19]}, was made by another version of this code.",
            f"Run the step that makes it again: {event.step}.",
        ) from None


def _key(static: str, step: Step, tools: Tools) -> str:
    return digest_of({"static": static, "observation": step.observe(tools)})


def _place(settings: Settings, name: str) -> Any:
    """Which server a tool talks to. The laptop's own counts as one, whatever its port is today."""
    section = settings.services().get(name)
    if section is None or section.embedded:
        return "embedded"
    secrets = {"password", "secret_key", "token", "access_key"}
    return section.model_dump(mode="json", exclude=secrets)


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _is_same(event: Event, result: Result) -> bool:
    return event.result_type == type(result).__name__ and bool(event.body["identity"] == result.identity())


def _noted(result: Result) -> dict[str, Any]:
    return {
        "result": result.model_dump(mode="json"), "identity": result.identity(),
        "reads": _dumped(result.reads()), "writes": _dumped(result.writes()),
    }  # fmt: skip


def _dumped(datasets: tuple[Any, ...]) -> list[Any]:
    return [dataset.model_dump(mode="json") for dataset in datasets]


def _age(at: str) -> str:
    seconds = (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds()
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' * (count != 1)} ago"
    return f"{int(seconds)} s ago"
