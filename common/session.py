"""One invocation, from arguments to exit code: settings, lock, platform, run, report."""

import argparse
import contextlib
import json
import os
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from common import anchors, lineage, logger, platform
from common.cli import tell
from common.config import load_settings, state_dir
from common.config_sources import ASSIGNMENTS, assigned_above
from common.errors import ExitCode, Expired
from common.failures import Failure, explain
from common.ledger import Ledger, ledger_file
from common.lineage_relay import relayed
from common.lock import mark_children, run_lock, shared_lock
from common.publish import write_atomically
from common.report import Run, closing_lines, write_report
from common.runner import Runner
from common.settings import Settings
from common.tools import Tools
from common.turns import Course, Part, Turn, chosen, configured, steps_of
from common.watch import Watch

log = logger.get_logger(__name__)
REPORT_SECONDS = 60
ANCHOR_SECONDS = 10


def run_session(turns: Sequence[Turn], options: argparse.Namespace) -> int:
    """Run the pipelines, each in its turn, under the lock and return the exit code."""
    run_id, parts = new_run_id(), chosen(turns, options.from_step, options.until)
    export(options)
    with logger.bound(run=run_id), run_lock(run_id, Path(sys.argv[0]).name, options.wait_lock):
        settings = ready_settings(parts, options)
        parts = configured(parts, settings)
        mark_children(run_id)
        with opened_ledger(settings, options.wait_lock) as ledger:
            close_unfinished(ledger)
            return _run(parts, options, settings, ledger, run_id)


def ready_settings(parts: Sequence[Part], options: argparse.Namespace) -> Settings:
    """The settings, after the embedded services that these steps use have been started where they were down."""

    def load() -> Settings:
        return load_settings(options.env, options.config, tuple(options.set))

    settings = load()
    needs = {need for step in steps_of(parts) for need in step.needs}
    if platform.ensure_up(settings, needs, options.no_start, welcome={"marquez"}):
        settings = load()
    return settings


def export(options: argparse.Namespace) -> None:
    """Let child processes, the platform and pipeline components, load the same settings from any directory."""
    os.environ["MLOPS_STATE_DIR"] = str(state_dir())
    os.environ["PYTHONUTF8"] = "1"  # text is UTF-8 for them too, whatever the locale
    if options.env:
        os.environ["MLOPS_ENVIRONMENT"] = options.env
    if config := options.config or os.environ.get("MLOPS_CONFIG_FILE"):
        os.environ["MLOPS_CONFIG_FILE"] = str(Path(config).absolute())
    if options.set:
        os.environ[ASSIGNMENTS] = json.dumps([*assigned_above(os.environ), *options.set])


@contextlib.contextmanager
def opened_ledger(settings: Settings, wait_seconds: float) -> Iterator[Ledger]:
    """The ledger: this clone's own file, or the shared one, with the lock across machines that it needs."""
    import sqlalchemy as sa

    url = settings.ledger.url.get_secret_value()
    with shared_lock(url, wait_seconds) if url else contextlib.nullcontext():
        ledger = Ledger(sa.make_url(url) if url else ledger_file(settings))
        try:
            yield ledger
        finally:
            ledger.close()


def close_unfinished(ledger: Ledger) -> None:
    """The lock is ours, so a run without an end is dead: say so, once."""
    for run in ledger.unfinished_runs():
        log.warning("an earlier run was killed; going on from what it left", earlier=run)
        ledger.append(run, "run_ended", state="interrupted", body={"code": None})


def new_run_id() -> str:
    """Sortable by time, and unique on one machine."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def _run(parts: Sequence[Part], options: argparse.Namespace, settings: Settings, ledger: Ledger, run_id: str) -> int:
    def last_words(code: int) -> None:
        ledger.append(run_id, "run_ended", state="interrupted", body={"code": code})

    started_utc, started = datetime.now(UTC), time.monotonic()
    names = list(dict.fromkeys(turn.name for turn, _ in parts))
    tools = Tools(settings)
    with Watch(last_words).running() as watch, relayed(ledger, settings):
        about = {"environment": settings.environment, **lineage.noted(settings)}
        ledger.append(run_id, "run_started", state=",".join(names), body=about)
        runner = Runner(tools, ledger, watch, run_id, options.force, options.deadline)
        failures = _run_each(runner, parts, options.keep_going)
        code = failures[0].code if failures else ExitCode.OK
        ledger.append(run_id, "run_ended", state="failed" if failures else "done", body={"code": int(code)})
        _anchor(ledger, tools, watch, parts)
        run = Run(run_id, names, started_utc, time.monotonic() - started, tuple(runner.outcomes), int(code), settings)
        _end(run, tools, watch, options)
    return int(code)


def _anchor(ledger: Ledger, tools: Tools, watch: Watch, parts: Sequence[Part]) -> None:
    """Let others remember where the ledger stands. A run whose work is done does not fail for it."""
    try:
        with watch.deadline(ANCHOR_SECONDS, "The anchor of the audit trail"):
            anchor = anchors.drop(ledger, anchors.anchors_file(tools.settings))
            if anchor and platform.uses("minio", {need for step in steps_of(parts) for need in step.needs}):
                anchors.publish(anchor, tools.minio)
    except (Exception, Expired) as error:
        log.warning("the audit trail's anchor was not kept everywhere", cause=explain(error).cause)


def _end(run: Run, tools: Tools, watch: Watch, options: argparse.Namespace) -> None:
    """Say how it went, whatever becomes of the report: it is made of what has already happened."""
    directory = state_dir() / "runs" / run.run_id
    try:
        with watch.deadline(REPORT_SECONDS, "The report"):
            write_report(run, directory, lambda uri: tools.minio.get_bytes(tools.minio.key(uri)))
            if traces := [outcome.failure.trace for outcome in run.outcomes if outcome.failure]:
                write_atomically(directory / "traceback.txt", "\n".join(traces).encode(), 0o600)
    except (Exception, Expired) as error:
        log.warning("the report could not be written", cause=explain(error).cause)
    _say(run, directory, options)


def _run_each(runner: Runner, parts: Sequence[Part], keep_going: bool) -> list[Failure]:
    """Give each pipeline its turn; what failed on the way is returned, the first first."""
    course = Course(keep_going)
    for (turn, steps), why in course.coming(parts):
        if why:
            runner.skip(steps, why)
            continue
        before = len(runner.outcomes)
        failure = runner.run(steps)
        course.note(turn, failure, runner.outcomes[before:])
    return course.failures


def _say(run: Run, directory: Path, options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps(run.as_data(), indent=2, ensure_ascii=False))
    elif not options.quiet:
        print(closing_lines(run, directory))
    for step, failure in ((outcome.step, outcome.failure) for outcome in run.outcomes):
        if failure:
            trace = failure.trace if options.verbose else ""
            tell(failure.code, failure.cause, failure.hint, trace, step.name, run.run_id)
