"""python -m common schedule: what runs by itself, shown, installed, removed, looked at - and its heartbeat."""

import argparse
import sys
from collections.abc import Callable
from typing import Protocol

from common.config import load_settings
from common.errors import UsageError
from common.heartbeat import ping
from common.schedule_cron import Crontab
from common.schedule_entries import entries_here, entries_in_image
from common.schedule_k8s import CronJobs
from common.schedule_systemd import Timers
from common.settings import Settings

ACTIONS = ("print", "install", "remove", "status", "ping")
TARGETS = ("cron", "systemd", "k8s")


class Target(Protocol):
    """Who starts the runs."""

    def text(self) -> str:
        """What it would be told."""

    def install(self) -> str:
        """Tell it. Returns a sentence."""

    def remove(self) -> str:
        """Take it back. Returns a sentence."""

    def states(self) -> dict[str, str]:
        """Name -> "installed", "not as configured" or "not installed"."""


def run(options: argparse.Namespace) -> int:
    """Do what the arguments say and return the exit code."""
    foreign = [each for each in options.set if not each.startswith("schedules.")]
    if foreign:
        raise UsageError(
            f"A schedule keeps no settings, so --set {foreign[0].partition('=')[0]} would be lost.",
            "Write it into config.yaml, its overlay or .env.",
        )
    settings = load_settings(options.env, options.config, tuple(options.set))
    if options.action == "ping":
        return _ping(settings, options.name)
    if options.target is None:
        raise UsageError(f"schedule {options.action} wants --target {', '.join(TARGETS)}.")
    return _done(options.action, _target(settings, options))


def _done(action: str, target: Target) -> int:
    actions: dict[str, Callable[[], str]] = {"print": target.text, "install": target.install, "remove": target.remove}
    if action in actions:
        print(actions[action]().rstrip("\n"))
        return 0
    states = target.states()
    for name, state in states.items():
        print(f"{name:12} {state}")
    return 0 if set(states.values()) <= {"installed"} else 1


def _target(settings: Settings, options: argparse.Namespace) -> Target:
    if options.target == "k8s":
        return CronJobs(entries_in_image(settings), settings)
    kind: type[Crontab] | type[Timers] = Crontab if options.target == "cron" else Timers
    return kind(entries_here(settings, options.config), settings.environment, settings.schedules.time_zone)


def _ping(settings: Settings, name: str | None) -> int:
    known = settings.schedules.known
    if name not in known:
        raise UsageError(f"There is no schedule {name}; {', '.join(known)} are.")
    url = known[name].heartbeat_url.get_secret_value()
    if not url:
        print(f"Nobody waits for a heartbeat of {name}: schedules.{name}.heartbeat_url is empty.", file=sys.stderr)
        return 0
    ping(url)
    return 0
