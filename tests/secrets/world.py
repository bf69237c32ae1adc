"""A platform whose every secret the test chose, and whatever else the settings can hold, all of them canaries."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.config import load_settings
from common.paths import ROOT
from common.settings import Settings
from embedded.layout import Layout
from embedded.services.minio import TOKEN_KEYS
from tests.embedded.conftest import Clone, new_clone
from tests.secrets import sinks
from tests.secrets.canaries import Canary, Hit, canary, search
from tests.secrets.command_lines import CommandLines

PLATFORM = ("postgres", "minio", "kubernetes", *(f"seaweed-{key.lower()}" for key in TOKEN_KEYS))
TOKENS = (
    "mlflow.password", "kubeflow.token", "prometheus.token", "git.password", "dvc.password", "argocd.token",
    "marquez.token",
)  # fmt: skip
HOOKS = ("alerts.webhook_url", *(f"schedules.{name}.heartbeat_url" for name in ("drift", "retraining", "run_all")))
LOGINS = ("dvc.git_url", "uc3.pushgateway_url", "ledger.url")
# Small tables, short windows, and gates that let nearly everything through: what is looked for is what is said.
SMALL = {
    "MLOPS_ITER8__INTERVAL_SECONDS": "1", "MLOPS_UC2__MIN_REQUESTS": "20", "MLOPS_UC2__WEIGHTS": "[100]",
    "MLOPS_UC2__OBJECTIVES__LATENCY_P95_MS": "5000", "MLOPS_UC2__OBJECTIVES__EXCESS_DISAGREEMENT": "0.99",
    "MLOPS_UC2__OBJECTIVES__ERROR_RATE": "0.5", "MLOPS_UC1__GATE__MAX_BRIER": "1",
    "MLOPS_UC1__GATE__MIN_ROC_AUC": "0.5",
    "MLOPS_UC3__MIN_ROWS": "200", "MLOPS_UC3__REPLAY__ROWS": "300", "MLOPS_UC5__MIN_GROUP_ROWS": "5",
    "MLOPS_UC5__LIMITS": "{}", "MLOPS_UC5__MAX_DEMOGRAPHIC_PARITY_DIFFERENCE": "1",
    "MLOPS_UC5__MAX_EQUALIZED_ODDS_DIFFERENCE": "1", "MLOPS_UC5__SBOM": "false",
    "MLOPS_ALERTS__RULES": "[{name: always, condition: 'drift_share >= 0'}]",
}  # fmt: skip


@dataclass
class Ran:
    """How a command ended, and what it said."""

    name: str
    code: int
    out: bytes
    err: bytes


@dataclass
class SecretWorld:
    """The platform, its secrets by name, and what every run so far has said."""

    clone: Clone
    secrets: dict[str, Canary]
    lines: CommandLines = field(default_factory=CommandLines)
    runs: list[Ran] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.clone.state / "home"

    @property
    def scratch(self) -> Path:
        return self.clone.state / "tmp"

    def variables(self, **more: str) -> dict[str, str]:
        """A shell's environment with every secret that comes by it; the platform's own come from its files."""
        given = {_variable(name): self.secrets[name].value for name in TOKENS}
        named = {"MLOPS_MLFLOW__USERNAME": "bot", "MLOPS_GIT__USERNAME": "bot"}
        shell = {"PATH": os.environ["PATH"], "HOME": str(self.home), "TMPDIR": str(self.scratch), "LANG": "C.UTF-8"}
        return {**shell, "MLOPS_STATE_DIR": str(self.clone.state), **SMALL, **given, **named, **more}

    def run(self, script: str, *args: str, name: str = "", **env: str) -> Ran:
        """Run a script, or `-m module`, as a user would; what it says is kept."""
        command = [sys.executable, *(script.split() if script.startswith("-m") else [str(ROOT / script)]), *args]
        done = subprocess.run(command, env=self.variables(**env), cwd=self.home, capture_output=True, timeout=800)
        ran = Ran(name or " ".join([script, *args]), done.returncode, done.stdout, done.stderr)
        self.runs.append(ran)
        return ran

    def settings(self) -> Settings:
        before = dict(os.environ)
        os.environ["MLOPS_STATE_DIR"] = str(self.clone.state)
        try:
            return load_settings()
        finally:
            os.environ.clear()
            os.environ.update(before)

    def sql(self, statement: str, database: str = "mlops") -> list[Any]:
        return self.clone.query(statement, database=database)

    def kept_secrets(self) -> tuple[Path, ...]:
        """The platform's own files of secrets: the only place where they may stand."""
        layout = Layout(self.clone.state)
        return (
            *(layout.secrets / name for name in PLATFORM),
            layout.embedded / "s3-identities.json",  # SeaweedFS reads its users there
            layout.state / "kubeconfig",
        )

    def pieces(self) -> Iterator[tuple[str, bytes]]:
        """Everything that outlives the runs, and what they said."""
        settings = self.settings()
        yield from ((f"{stream} of {ran.name}", text) for ran in self.runs for stream, text in _said(ran))
        yield from self.lines.pieces()
        yield from sinks.files(self.clone.state, but=self.kept_secrets())
        yield from sinks.git_objects(self.clone.state)
        yield from sinks.databases(settings.postgres)
        yield from sinks.objects(settings.minio)

    def hits(self) -> list[Hit]:
        return list(search(self.pieces(), self.secrets.values()))


def _said(ran: Ran) -> tuple[tuple[str, bytes], ...]:
    return ("stdout", ran.out), ("stderr", ran.err)


def _variable(path: str) -> str:
    return "MLOPS_" + path.upper().replace(".", "__")


def new_world() -> SecretWorld:
    """Up and seeded with few customers. Its own secrets were put where the platform would have made them."""
    clone = new_clone()
    layout = Layout(clone.state)
    for name in PLATFORM:
        (layout.secrets / name).touch(0o600)
        (layout.secrets / name).write_text(canary(name).value)
    made = {name: Canary(name, (layout.secrets / name).read_text()) for name in PLATFORM}
    made |= {name: canary(name) for name in (*TOKENS, *LOGINS)}
    made |= {name: canary(name, "/") for name in HOOKS}
    world = SecretWorld(clone, made)
    world.home.mkdir()
    world.scratch.mkdir()
    return world
