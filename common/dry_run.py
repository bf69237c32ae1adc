"""What a run would do, said without doing it: nothing is started, written or connected to."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from common.config import load_settings
from common.ledger import Ledger, ledger_to_read
from common.runner import earlier, result_of, static_key, why_none
from common.settings import Settings
from common.step import Result, Step
from common.turns import Turn, chosen, steps_of


def plan(turns: Sequence[Turn], options: argparse.Namespace) -> str:
    """One paragraph a step: runs or unchanged, why, and what it writes."""
    settings = load_settings(options.env, options.config, tuple(options.set))
    ledger = ledger_to_read(settings)
    known: dict[type[Result], Result | None] = {}
    lines = []
    for step in steps_of(chosen(turns, options.from_step, options.until)):
        verdict = _verdict(step, settings, ledger, known, options.force)
        lines.append(f"{step.name}: {verdict}\n    writes: {writes_of(step)}")
    return "\n".join(lines)


def _verdict(
    step: Step, settings: Settings, ledger: Ledger | None, known: dict[type[Result], Result | None], force: bool
) -> str:
    last = ledger.latest_good(step.name) if ledger else None
    by_nobody = [wanted for wanted in step.inputs() if wanted not in known]
    inputs = [_known(wanted, ledger, known, settings) for wanted in step.inputs()]
    known[step.output()] = None
    for wanted, found in zip(step.inputs(), inputs, strict=True):
        if found is None and wanted in by_nobody:
            return f"would be refused: it needs {wanted.__name__}, and {why_none(ledger, wanted, settings)}"
    if force or last is None or None in inputs:
        return "runs" + (" (it is forced)" if force else " (nothing good is known of it)" if last is None else "")
    present = tuple(item for item in inputs if item is not None)
    if last.body["static_key"] != static_key(step, present, settings):
        return "runs (its inputs, settings, code or libraries have changed)"
    if not last.body["key"]:
        return "runs (last time it left its work to a later run)"
    known[step.output()] = result_of(last, step.output())
    return "runs each time, to see whether its source changed" if step.always else "unchanged, unless the world moved"


def _known(
    wanted: type[Result], ledger: Ledger | None, known: dict[type[Result], Result | None], settings: Settings
) -> Result | None:
    if wanted not in known:
        found = earlier(ledger, wanted, settings) if ledger else None
        known[wanted] = found[1] if found else None
    return known[wanted]


def writes_of(step: Step) -> str:
    """The paragraph "Writes" of the step's docstring: its side effects, as promised."""
    lines = Path(step.path).read_text(encoding="utf-8").split('"""')[1].splitlines()
    start = next((n for n, line in enumerate(lines) if line.startswith("Writes")), None)
    if start is None:
        return "nothing"
    more = lines[start + 1 :]
    end = next((n for n, line in enumerate(more) if not line.startswith(" ")), len(more))
    return " ".join(" ".join([lines[start].removeprefix("Writes"), *more[:end]]).split())
