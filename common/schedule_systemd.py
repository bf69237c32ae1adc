"""Schedules as timers of the user's systemd: a service and a timer an entry, in files that carry our name."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from common.cron_expression import calendar
from common.errors import Unavailable
from common.paths import ROOT, state_dir
from common.process import run_command
from common.publish import write_atomically
from common.schedule_entries import KILL_AFTER_SECONDS, Entry, state_variable

CALL_SECONDS = 30


class Timers:
    """The entries of one environment as units of `systemctl --user`."""

    def __init__(self, entries: Sequence[Entry], environment: str, time_zone: str) -> None:
        self._entries, self._time_zone = entries, time_zone
        # Two clones do not meet: the name of a unit says which clone's it is.
        self._prefix = f"mlops-{environment}-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}-"

    def text(self) -> str:
        """Every unit with its file name."""
        return "\n".join(f"# {name}\n{content}" for name, content in self.units().items())

    def units(self) -> dict[str, str]:
        """File name -> content."""
        made: dict[str, str] = {}
        for entry in self._entries:
            name = f"{self._prefix}{entry.name}"
            made[f"{name}.service"] = _service(entry)
            made[f"{name}.timer"] = _timer(entry, self._time_zone)
        return made

    def install(self) -> str:
        """Write what is missing or differs, remove what is no longer configured, and start the timers."""
        wanted = self.units()
        _systemctl("--version")
        gone = sorted(set(self._files()) - set(wanted))
        changed = [name for name, content in wanted.items() if self._content(name) != content]
        self._stop([name for name in gone if name.endswith(".timer")])
        for name in gone:
            (_directory() / name).unlink()
        (state_dir() / "logs").mkdir(parents=True, exist_ok=True)
        for name in changed:
            write_atomically(_directory() / name, wanted[name].encode())
        if changed or gone:
            _systemctl("daemon-reload")
        if timers := [name for name in wanted if name.endswith(".timer")]:
            _systemctl("enable", "--now", *timers)
        return "systemd holds these timers already." if not changed and not gone else f"Written: {_directory()}."

    def remove(self) -> str:
        """Stop the timers and remove our files."""
        files = self._files()
        if not files:
            return "systemd holds no timer of this clone and environment."
        self._stop([name for name in files if name.endswith(".timer")])
        for name in files:
            (_directory() / name).unlink()
        _systemctl("daemon-reload")
        return "The timers are removed."

    def states(self) -> dict[str, str]:
        """Name -> "installed", "not as configured" or "not installed"."""
        return {entry.name: self._state(f"{self._prefix}{entry.name}") for entry in self._entries}

    def _state(self, name: str) -> str:
        wanted = self.units()
        there = {unit: self._content(unit) for unit in (f"{name}.service", f"{name}.timer")}
        if all(content is None for content in there.values()):
            return "not installed"
        return "installed" if all(wanted[unit] == content for unit, content in there.items()) else "not as configured"

    def _files(self) -> list[str]:
        return sorted(path.name for path in _directory().glob(f"{self._prefix}*"))

    def _content(self, name: str) -> str | None:
        path = _directory() / name
        return path.read_text(encoding="utf-8") if path.exists() else None

    def _stop(self, timers: list[str]) -> None:
        if timers:
            _systemctl("disable", "--now", *timers)


def _service(entry: Entry) -> str:
    """A oneshot: ExecStartPost runs after a success only, and `-` keeps a lost heartbeat from failing the run."""
    environment = "".join(f"Environment={_quoted(each)}\n" for each in state_variable())
    return f"""[Unit]
Description=mlops {entry.environment}: {entry.name}

[Service]
Type=oneshot
WorkingDirectory={entry.root.replace("%", "%%")}
{environment}ExecStart={" ".join(map(_quoted, entry.run))}
ExecStartPost=-{" ".join(map(_quoted, entry.ping))}
TimeoutStartSec={entry.schedule.deadline_seconds}
TimeoutStopSec={KILL_AFTER_SECONDS}
StandardOutput=append:{str(entry.log).replace("%", "%%")}
StandardError=inherit
"""


def _timer(entry: Entry, time_zone: str) -> str:
    return f"""[Unit]
Description=mlops {entry.environment}: when {entry.name} runs

[Timer]
OnCalendar={calendar(entry.schedule.cron, time_zone)}
Persistent=true

[Install]
WantedBy=timers.target
"""


def _quoted(word: str) -> str:
    """As systemd reads it: % begins a specifier, $ a variable, and quotes keep spaces."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if escaped and not set(escaped) & set(" \t'\"\\;") else f'"{escaped}"'


def _directory() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"


def _systemctl(*arguments: str) -> None:
    found = shutil.which("systemctl")
    if found is None:
        raise Unavailable(
            "There is no `systemctl` command on this machine.",
            "Use --target cron or --target k8s; `schedule print` shows what would run.",
        )
    run_command([found, "--user", *arguments], deadline_seconds=CALL_SECONDS)
