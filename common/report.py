"""The report of a run: one self-contained HTML page, and the same as JSON, made of what the results say."""

import hashlib
import json
import shlex
import sys
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from common.errors import MlopsError
from common.logger import get_logger, without_secrets
from common.paths import ROOT
from common.publish import write_atomically
from common.runner import Outcome
from common.settings import Settings, without_credentials

log = get_logger(__name__)
SYMBOLS = {"done": "✓", "unchanged": "=", "failed": "✗", "interrupted": "!"}


@dataclass(frozen=True)
class Run:
    """A run that has ended."""

    run_id: str
    pipelines: list[str]
    started_utc: datetime
    seconds: float
    outcomes: tuple[Outcome, ...]
    exit_code: int
    settings: Settings

    def as_data(self) -> dict[str, Any]:
        """The run as JSON-able data: what --json prints and summary.json holds."""
        return {
            "run": self.run_id, "pipelines": self.pipelines, "started": self.started_utc.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 1), "exit_code": self.exit_code, "environment": self.settings.environment,
            "steps": [_outcome_as_data(outcome) for outcome in self.outcomes],
        }  # fmt: skip


def write_report(run: Run, directory: Path, fetch: Callable[[str], bytes]) -> None:
    """Write report.html, the pages it leads to and summary.json. `fetch` reads a picture or a page by its URI."""
    write_atomically(directory / "summary.json", json.dumps(run.as_data(), indent=2).encode())
    write_atomically(directory / "report.html", as_html(run, fetch, directory).encode())


def as_html(run: Run, fetch: Callable[[str], bytes], directory: Path) -> str:
    """The page: no script, no font, no picture from anywhere else. Copies of other pages go into the directory."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("common", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["inlined"] = lambda uri: _inlined(uri, fetch)
    environment.filters["beside"] = lambda uri: _beside(uri, fetch, directory)
    links = _links(run)
    command = without_secrets(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]))
    page = environment.get_template("report.html.j2")
    return page.render(run=run, links=links, symbols=SYMBOLS, command=command)


def _inlined(uri: str, fetch: Callable[[str], bytes]) -> str:
    """A data: URI of the picture; empty, and said, where it cannot be had: a report does not fail for a picture."""
    kind = "svg+xml" if uri.endswith(".svg") else "png"
    try:
        return f"data:image/{kind};base64,{b64encode(fetch(uri)).decode()}"
    except MlopsError as error:
        log.warning("a picture is missing from the report", uri=uri, cause=error.message)
        return ""


def _beside(uri: str, fetch: Callable[[str], bytes], directory: Path) -> str:
    """Copy a page of ours beside the report and return its relative address; empty, and said, where it is gone.

    Copies are named by content: two steps may each have a page of the same name.
    """
    try:
        content = fetch(uri)
    except MlopsError as error:
        log.warning("a page is missing beside the report", uri=uri, cause=error.message)
        return ""
    name = f"pages/{hashlib.sha256(content).hexdigest()[:12]}-{uri.rsplit('/', 1)[-1]}"
    write_atomically(directory / name, content)
    return name


def closing_lines(run: Run, directory: Path) -> str:
    """What the terminal shows last: a line a step, where to look, how to stop the platform."""
    width = max((len(outcome.step.name) for outcome in run.outcomes), default=0)
    said = [outcome.result.text() for outcome in run.outcomes if outcome.result] if len(run.pipelines) == 1 else []
    lines = ["", *(line for text in said if text for line in (text, ""))]
    lines += [*(_line(outcome, width) for outcome in run.outcomes), ""]
    lines += [f"{'Run':12} {run.run_id}, {run.seconds:.1f} s", f"{'Report':12} {directory / 'report.html'}"]
    lines += [f"{label:12} {target}" for label, target in _links(run)]
    if any(section.embedded for section in run.settings.services().values()):
        lines.append(f"{'Platform':12} stays up; stop it with `{_python()} -m embedded down`")
    return "\n".join(lines)


def _line(outcome: Outcome, width: int) -> str:
    state = f"{SYMBOLS[outcome.state]} {outcome.step.name:{width}}  {outcome.state:9}"
    return f"{state}  {outcome.seconds:6.1f} s  {outcome.said}"


def _links(run: Run) -> list[tuple[str, str]]:
    mlflow = ("MLflow", without_credentials(run.settings.mlflow.tracking_uri))
    return [mlflow, *(link for outcome in run.outcomes if outcome.result for link in outcome.result.links())]


def _outcome_as_data(outcome: Outcome) -> dict[str, Any]:
    data: dict[str, Any] = {"step": outcome.step.name, "state": outcome.state, "seconds": round(outcome.seconds, 2)}
    if outcome.result:
        data |= {"type": type(outcome.result).__name__, "result": outcome.result.model_dump(mode="json")}
    if outcome.failure:
        data |= {"code": int(outcome.failure.code), "cause": outcome.failure.cause, "hint": outcome.failure.hint}
    return data


def _python() -> str:
    """How this user starts Python here: by its short name in the clone, else by its path."""
    executable = Path(sys.executable)
    near = Path.cwd() == ROOT and executable.is_relative_to(ROOT)
    return str(executable.relative_to(ROOT)) if near else str(executable)
