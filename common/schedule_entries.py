"""What runs by itself, as commands: the same words for cron, systemd and Kubernetes.

Every path is absolute, nothing is expected of the environment, and no secret is part of a command: passwords and
heartbeat addresses are read by the run itself, from the configuration, when it runs.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import ConfigError
from common.paths import ROOT, state_dir
from common.settings import Settings
from common.settings_schedules import Schedule

KILL_AFTER_SECONDS = 30


@dataclass(frozen=True)
class Entry:
    """One schedule of one environment: `arguments` choose the settings, `python` and `root` say where it runs."""

    name: str
    environment: str
    schedule: Schedule
    arguments: tuple[str, ...]
    wait_lock_seconds: int
    python: str
    root: str

    @property
    def run(self) -> list[str]:
        """The script itself."""
        wait = ["--wait-lock", str(self.wait_lock_seconds)]
        return [self.python, f"{self.root}/{self.schedule.script}", *self.arguments, *wait]

    @property
    def ping(self) -> list[str]:
        """What follows a success: it asks the heartbeat's address, where there is one."""
        return [self.python, "-m", "common", "schedule", "ping", self.name, *self.arguments]

    @property
    def log(self) -> Path:
        """Where the output of a run on this machine goes."""
        return state_dir() / "logs" / f"schedule-{self.name}.log"


def entries_here(settings: Settings, config_file: Path | None) -> list[Entry]:
    """The enabled schedules as this machine runs them. Raises ConfigError where a script is not there."""
    config = config_file or os.environ.get("MLOPS_CONFIG_FILE")
    arguments = ["--env", settings.environment, *(["--config", str(Path(config).absolute())] if config else [])]
    found = _entries(settings, arguments, sys.executable, str(ROOT))
    for entry in found:
        _refuse_what_no_line_can_hold([entry.root, entry.python, str(entry.log), *entry.arguments])
        if not (ROOT / entry.schedule.script).is_file():
            raise ConfigError(
                f"schedules.{entry.name}.script: there is no {entry.schedule.script} in {ROOT}.",
                f"Correct it, or set schedules.{entry.name}.enabled: false.",
            )
    return found


def entries_in_image(settings: Settings) -> list[Entry]:
    """The same as the image of deploy/Dockerfile runs them; its environment says which settings hold."""
    return _entries(settings, (), "python", "/app")


def timeout_program() -> str:
    """The absolute path of coreutils' `timeout`, which keeps the deadline outside of our own process."""
    found = shutil.which("timeout") or shutil.which("gtimeout")
    if found is None:
        raise ConfigError("There is no `timeout` command here, which ends a run that hangs.", "Install coreutils.")
    return found


def state_variable() -> list[str]:
    """MLOPS_STATE_DIR=..., where this clone does not keep its state in .state."""
    return [f"MLOPS_STATE_DIR={state_dir()}"] if os.environ.get("MLOPS_STATE_DIR") else []


def _entries(settings: Settings, arguments: Sequence[str], python: str, root: str) -> list[Entry]:
    section = settings.schedules
    return [
        Entry(name, settings.environment, schedule, tuple(arguments), section.wait_lock_seconds, python, root)
        for name, schedule in section.entries.items()
    ]


def _refuse_what_no_line_can_hold(words: Sequence[str]) -> None:
    for word in words:
        if any(ord(letter) < 32 for letter in word):
            raise ConfigError(f"The path {word!r} holds a control character; no schedule can name it.", "Rename it.")
