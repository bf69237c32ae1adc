"""What a run leaves: its outcome as data, its report as a page, and the lines that the terminal shows last."""

import json
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from common import platform
from common.paths import ROOT
from common.publish import write_atomically
from common.report_page import SYMBOLS, Fetch, as_html, index_html
from common.runner import Outcome
from common.settings import Settings, without_credentials


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

    def links(self) -> list[tuple[str, str]]:
        """Where to look: MLflow where it was used, and what the results say; of a step that ran twice the last."""
        used = platform.uses("mlflow", {need for outcome in self.outcomes for need in outcome.step.needs})
        mlflow = [("MLflow", without_credentials(self.settings.mlflow.tracking_uri))] if used else []
        last = {outcome.step.name: outcome.result for outcome in self.outcomes if outcome.result}
        return [*mlflow, *(link for result in last.values() for link in result.links())]


def write_report(run: Run, directory: Path, fetch: Fetch) -> None:
    """Write report.html, the pages it leads to and summary.json, and the index of all runs beside the directory.

    `fetch` reads a picture or a page by its URI.
    """
    write_atomically(directory / "summary.json", json.dumps(run.as_data(), indent=2).encode())
    write_atomically(directory / "report.html", as_html(run, fetch, directory).encode(), 0o600)
    write_atomically(directory.parent / "index.html", index_html(directory.parent).encode())


def closing_lines(run: Run, directory: Path) -> str:
    """What the terminal shows last: a line a step, where to look, how to stop the platform."""
    width = max((len(outcome.step.name) for outcome in run.outcomes), default=0)
    said = [outcome.result.text() for outcome in run.outcomes if outcome.result] if len(run.pipelines) == 1 else []
    lines = ["", *(line for text in said if text for line in (text, ""))]
    lines += [*(_line(outcome, width) for outcome in run.outcomes), ""]
    lines += [f"{'Run':12} {run.run_id}, {run.seconds:.1f} s", f"{'Report':12} {directory / 'report.html'}"]
    lines += [f"{label:12} {target}" for label, target in run.links()]
    if any(section.embedded for section in run.settings.services().values()):
        lines.append(f"{'Platform':12} stays up; stop it with `{_python()} -m embedded down`")
    return "\n".join(lines)


def _line(outcome: Outcome, width: int) -> str:
    state = f"{SYMBOLS[outcome.state]} {outcome.step.name:{width}}  {outcome.state:9}"
    return f"{state}  {outcome.seconds:6.1f} s  {outcome.said}"


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
