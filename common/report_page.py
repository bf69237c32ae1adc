"""The report of a run as one HTML page, the copies of pages that it leads to, and an index of all runs."""

import hashlib
import json
import shlex
import sys
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from common.code_version import code_version
from common.errors import MlopsError
from common.keys import lock_digest
from common.logger import get_logger, without_secrets
from common.publish import write_atomically
from common.runner import Outcome

if TYPE_CHECKING:
    from common.report import Run

log = get_logger(__name__)
SYMBOLS = {"done": "✓", "unchanged": "=", "failed": "✗", "interrupted": "!", "skipped": "-"}
ROWS_OF_INDEX = 200
Fetch = Callable[[str], bytes]


@dataclass(frozen=True)
class Shown:
    """A step of the run as the page shows it: `start` and `width` are its place on the time line, in percent."""

    anchor: str
    outcome: Outcome
    start: float
    width: float


@dataclass(frozen=True)
class Chapter:
    """The steps of one use case that ran one after the other."""

    title: str
    steps: tuple[Shown, ...]

    @property
    def seconds(self) -> float:
        """What its steps took."""
        return sum(each.outcome.seconds for each in self.steps)

    @property
    def state(self) -> str:
        """Its worst step's state; done where anything was done."""
        states = {each.outcome.state for each in self.steps}
        return next(state for state in ("failed", "interrupted", "skipped", "done", "unchanged") if state in states)

    @property
    def said(self) -> str:
        """What its last telling step said."""
        return next((each.outcome.said for each in reversed(self.steps) if each.outcome.said), "")


def as_html(run: "Run", fetch: Fetch, directory: Path) -> str:
    """The page: no script, no font, no picture from anywhere else. Copies of other pages go into the directory."""
    chapters = _chapters(run.outcomes)
    return _render(
        "report.html.j2", run=run, chapters=chapters, symbols=SYMBOLS, links=run.links(), facts=_reproduced(run),
        command=without_secrets(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])),
        inlined=lambda uri: _inlined(uri, fetch), beside=lambda uri: _beside(uri, fetch, directory),
    )  # fmt: skip


def index_html(runs: Path) -> str:
    """The index of the runs below this directory, newest first; a summary that cannot be read is left out."""
    rows = []
    for path in sorted(runs.glob("*/summary.json"), reverse=True)[:ROWS_OF_INDEX]:
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
            rows.append({**_index_row(summary), "folder": quote(path.parent.name)})
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("a run is missing in the index", run=path.parent.name, cause=type(error).__name__)
    return _render("runs.html.j2", rows=rows)


def _index_row(summary: dict[str, Any]) -> dict[str, Any]:
    states = [step["state"] for step in summary["steps"]]
    counted = ", ".join(f"{states.count(state)} {state}" for state in SYMBOLS if state in states)
    return {**{name: summary[name] for name in ("run", "started", "pipelines", "seconds", "exit_code", "environment")},
            "counted": counted}  # fmt: skip


def _render(template: str, **values: Any) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("common", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template(template).render(**values)


def _chapters(outcomes: Sequence[Outcome]) -> tuple[Chapter, ...]:
    """Steps in order, grouped by the folder of their scripts; a use case that had two turns has two chapters."""
    whole, at, groups = sum(each.seconds for each in outcomes) or 1.0, 0.0, list[tuple[str, list[Shown]]]()
    for number, outcome in enumerate(outcomes):
        title = outcome.step.path.parent.name.replace("_", " ").replace("uc", "UC", 1)
        shown = Shown(f"step-{number}", outcome, 100 * at / whole, 100 * outcome.seconds / whole)
        begins_again = bool(groups) and outcome.step in [each.outcome.step for each in groups[-1][1]]
        if not groups or groups[-1][0] != title or begins_again:
            groups.append((title, []))
        groups[-1][1].append(shown)
        at += outcome.seconds
    return tuple(Chapter(title, tuple(steps)) for title, steps in groups)


def _reproduced(run: "Run") -> list[tuple[str, str]]:
    """What else must be the same for the same run."""
    facts = [
        ("code", code_version()),
        ("libraries", f"requirements.lock {lock_digest()[:12]}" if lock_digest() else ""),
        ("Python", sys.version.split()[0]), ("environment", run.settings.environment),
    ]  # fmt: skip
    return [(label, value) for label, value in facts if value]


def _inlined(uri: str, fetch: Fetch) -> str:
    """A data: URI of the picture; empty, and said, where it cannot be had: a report does not fail for a picture."""
    kind = "svg+xml" if uri.endswith(".svg") else "png"
    content = _fetched(uri, fetch)
    return f"data:image/{kind};base64,{b64encode(content).decode()}" if content else ""


def _beside(uri: str, fetch: Fetch, directory: Path) -> str:
    """Copy a page of ours beside the report and return its relative address; empty, and said, where it is gone.

    Copies are named by content: two steps may each have a page of the same name.
    """
    content = _fetched(uri, fetch)
    if not content:
        return ""
    name = f"pages/{hashlib.sha256(content).hexdigest()[:12]}-{uri.rsplit('/', 1)[-1]}"
    write_atomically(directory / name, content, 0o600)  # a page may show people
    return name


def _fetched(uri: str, fetch: Fetch) -> bytes:
    try:
        return fetch(uri)
    except MlopsError as error:
        log.warning("missing from the report", uri=uri, cause=error.message)
        return b""
