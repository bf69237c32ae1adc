"""The command line that every script shares, and the one place where a process of ours ends.

Data goes to stdout; progress and logs to stderr. Nothing heavy is imported before the arguments are understood.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from common.flags import Flag, add_flags
from common.terminal import speak_utf8

if TYPE_CHECKING:
    from common.pipeline import Pipeline
    from common.turns import Turn


def main(target: "str | Pipeline | Sequence[Pipeline | Turn]", argv: Sequence[str] | None = None) -> NoReturn:
    """Run a step's own file, a pipeline or several, as the arguments say, and exit with the code that fits."""
    speak_utf8()
    script = Path(sys.argv[0])
    turns = _turns(target)
    flags = turns[0].pipeline.flags if len(turns) == 1 else ()  # several pipelines are told by --set alone
    options = parser(_description(), script.name, flags).parse_args(argv)
    if options.list:
        print(listing(turns))
        raise SystemExit(0)
    raise SystemExit(_guarded(turns, options))


def parser(description: str, name: str, flags: Sequence[Flag] = ()) -> argparse.ArgumentParser:
    """The flags: those of every script, and the shortcuts that this one's steps define."""
    made = argparse.ArgumentParser(name, description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = made.add_argument_group("what runs")
    what.add_argument("--from-step", metavar="04", help="start at this step, with the inputs of earlier runs")
    what.add_argument("--until", metavar="05", help="stop after this step; of several pipelines name it, as uc2_03")
    what.add_argument("--keep-going", action="store_true", help="after a failure go on with what does not stand on it")
    what.add_argument("--force", action="store_true", help="run steps even where nothing has changed")
    what.add_argument("--list", action="store_true", help="list the steps and leave")
    what.add_argument("--dry-run", action="store_true", help="say what would run and what it would write, and leave")
    how = made.add_argument_group("with which settings")
    how.add_argument("--env", metavar="NAME", choices=["development", "staging", "production"])
    how.add_argument("--config", metavar="FILE", type=Path, help="instead of config.yaml")
    how.add_argument("--set", metavar="a.b=c", action="append", default=[], help="one setting; as often as needed")
    how.add_argument("--no-start", action="store_true", help="refuse instead of starting the embedded platform")
    how.add_argument("--wait-lock", metavar="S", type=float, default=0, help="wait S seconds for another run to end")
    how.add_argument("--deadline", metavar="S", type=float, default=inf, help="end after S seconds, with exit 124")
    said = made.add_argument_group("what is said")
    said.add_argument("--json", action="store_true", help="the outcome as JSON on stdout")
    said.add_argument("-v", "--verbose", action="count", default=0, help="more; twice: libraries too")
    said.add_argument("-q", "--quiet", action="store_true", help="warnings and errors only")
    add_flags(made, flags)
    return made


def listing(turns: Sequence["Turn"]) -> str:
    """The steps, one line each: name and promise."""
    steps = dict.fromkeys(step for turn in turns for step in turn.pipeline.steps)
    return "\n".join(f"{step.name:40} {step.promise}" for step in steps)


def _guarded(turns: Sequence["Turn"], options: argparse.Namespace) -> int:
    """The one broad catch: where the process ends, every error becomes a sentence and a code."""
    from common import logger
    from common.errors import Interrupted
    from common.failures import explain

    logger.configure(-1 if options.quiet else options.verbose)
    try:
        if options.dry_run:
            from common.dry_run import plan

            print(plan(turns, options))
            return 0
        from common.session import run_session

        return run_session(turns, options)
    except (Exception, Interrupted, KeyboardInterrupt) as error:
        failure = explain(error)
        tell(failure.code, failure.cause, failure.hint, failure.trace if options.verbose else "")
        return int(failure.code)


def tell(code: int, cause: str, hint: str, trace: str = "", step: str = "", run: str = "") -> None:
    """Say what went wrong on stderr: lines for a person on a terminal, one JSON line otherwise."""
    if not sys.stderr.isatty():
        said = {"level": "error", "event": "failed", "code": int(code), "step": step, "run": run}
        print(json.dumps({**said, "cause": cause, "hint": hint}, ensure_ascii=False), file=sys.stderr)
    else:
        where = f"{step}: " if step else ""
        print(f"\n\033[31m{where}{cause}\033[0m", file=sys.stderr)
        print(f"{hint}\n" if hint else "", end="", file=sys.stderr)
    if trace:
        print(trace, file=sys.stderr)


def _turns(target: "str | Pipeline | Sequence[Pipeline | Turn]") -> Sequence["Turn"]:
    from common.pipeline import Pipeline
    from common.turns import turns_of

    if isinstance(target, str):
        name = Path(target).resolve().parent.name.split("_")[0]
        target = Pipeline(name, [sys.modules["__main__"]], checked=False)
    return turns_of([target] if isinstance(target, Pipeline) else target)


def _description() -> str:
    return sys.modules["__main__"].__doc__ or ""
