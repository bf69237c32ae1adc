"""Schedules in the user's crontab: one marked block a clone and environment, and no other line is touched."""

import os
import shlex
import shutil
from collections.abc import Sequence

from common.errors import ConfigError, Unavailable
from common.paths import ROOT
from common.process import CommandFailed, run_command
from common.schedule_entries import KILL_AFTER_SECONDS, Entry, state_variable, timeout_program

CALL_SECONDS = 20


class Crontab:
    """The entries of one environment, in the crontab of the user who calls."""

    def __init__(self, entries: Sequence[Entry], environment: str, time_zone: str) -> None:
        self._entries, self._time_zone = entries, time_zone
        self._begin = f"# BEGIN mlops {environment} in {ROOT}"
        self._end = f"# END mlops {environment} in {ROOT}"

    def text(self) -> str:
        """The block. cronie reads CRON_TZ; a cron that does not know it (Debian's) goes by the machine's zone."""
        lines = [f"CRON_TZ={self._time_zone}", *(line(entry) for entry in self._entries)]
        return "\n".join([f"{self._begin} (python -m common schedule)", *lines, self._end]) + "\n"

    def install(self) -> str:
        """Put the block at the end, in place of the one that stood there. Doing it again changes nothing."""
        before = _read()
        others, _ = self._parted(before)
        gap = "" if not others or others.endswith("\n") else "\n"
        after = others + gap + (self.text() if self._entries else "")
        if after == before:
            return "The crontab holds these schedules already."
        _write(after)
        return f"The crontab now runs {', '.join(entry.name for entry in self._entries) or 'nothing of ours'}."

    def remove(self) -> str:
        """Take the block out."""
        before = _read()
        after, _ = self._parted(before)
        if after == before:
            return "The crontab holds no schedule of this clone and environment."
        _write(after)
        return "The schedules are out of the crontab."

    def states(self) -> dict[str, str]:
        """Name -> "installed", "not as configured" or "not installed"."""
        _, there = self._parted(_read())
        return {entry.name: self._state(entry, there) for entry in self._entries}

    def _state(self, entry: Entry, there: list[str]) -> str:
        if line(entry) in there:
            return "installed"
        known = any(shlex.join(entry.ping[1:5]) in each for each in there)
        return "not as configured" if known else "not installed"

    def _parted(self, text: str) -> tuple[str, list[str]]:
        """The crontab without our block, and the lines of our block. Raises ConfigError where it has no proper end."""
        lines = text.splitlines(keepends=True)
        begins = [number for number, each in enumerate(lines) if each.startswith(self._begin + " ")]
        ends = [number for number, each in enumerate(lines) if each.rstrip("\n") == self._end]
        if not begins and not ends:
            return text, []
        if len(begins) != 1 or len(ends) != 1 or begins[0] > ends[0]:
            raise ConfigError(
                f"The crontab's block `{self._begin}` has no proper end; nothing was changed.",
                "Remove its lines by hand (`crontab -e`), then install again.",
            )
        first, after = begins[0], ends[0] + 1
        return "".join(lines[:first] + lines[after:]), [each.rstrip("\n") for each in lines[first:after]]


def line(entry: Entry) -> str:
    """A line of the crontab. cron takes an unescaped % for the end of the command."""
    return f"{entry.schedule.cron} {command(entry)}".replace("%", r"\%")


def command(entry: Entry) -> str:
    """What /bin/sh runs: the script with its deadline, logged; the heartbeat after a success, and only then."""
    log = shlex.quote(str(entry.log))
    limit = [timeout_program(), "-k", str(KILL_AFTER_SECONDS), str(entry.schedule.deadline_seconds)]
    variables = " ".join(["export", *map(shlex.quote, state_variable())]) if state_variable() else ""
    steps = [
        f"cd {shlex.quote(entry.root)}",
        *([variables] if variables else []),
        f"mkdir -p {shlex.quote(str(entry.log.parent))}",
        f"{shlex.join([*limit, *entry.run])} >>{log} 2>&1",
        f"{shlex.join(entry.ping)} >>{log} 2>&1",
    ]
    return " && ".join(steps)


def _program() -> str:
    found = shutil.which("crontab")
    if found is None:
        raise Unavailable(
            "There is no `crontab` command on this machine.",
            "Install cron, or use --target systemd or --target k8s; `schedule print` shows what would run.",
        )
    return found


def _read() -> str:
    try:
        return run_command([_program(), "-l"], deadline_seconds=CALL_SECONDS, env={**os.environ, "LC_ALL": "C"})
    except CommandFailed as error:
        if "no crontab for" in error.stderr:
            return ""
        raise


def _write(text: str) -> None:
    run_command([_program(), "-"], deadline_seconds=CALL_SECONDS, input=text.encode())
