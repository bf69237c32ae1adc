"""The laptop's platform: PostgreSQL, S3, MLflow, a Kubernetes API and git, on loopback, from pip alone.

python -m embedded up [--only postgres,minio] [--json]   start what is down; wait until it works
python -m embedded status [--json]                       name, address, pid, memory, uptime, state
python -m embedded down                                  stop everything; data stay
python -m embedded load FILE --table NAME                make a CSV or parquet file a table, or replace it
python -m embedded prune                                 remove old logs, cache entries and run reports
python -m embedded reset [--yes]                         stop everything and delete all data
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from common.terminal import speak_utf8

if TYPE_CHECKING:
    from common.settings import Settings

OF_THE_USER = ("PG", "AWS_", "MLFLOW_", "GIT_")


def main() -> NoReturn:
    """Understand the command line, do it, and end with a code of common.errors.ExitCode."""
    speak_utf8()
    options = _parser().parse_args()
    from common.failures import explain

    try:
        sys.exit(_run(options))
    except (Exception, KeyboardInterrupt) as error:  # where the process ends, every error becomes a sentence
        failure = explain(error)
        sys.stderr.write("\n".join(line for line in (failure.cause, failure.hint) if line) + "\n")
        sys.exit(int(failure.code))


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m embedded", description=__doc__, formatter_class=raw)
    commands = parser.add_subparsers(dest="command", required=True, metavar="up|status|down|load|prune|reset")
    up = commands.add_parser("up", help="start what is down; wait until it works")
    up.add_argument("--only", metavar="a,b", default="", help="these services and what they need")
    status = commands.add_parser("status", help="how the services are")
    for command in (up, status):
        command.add_argument("--json", action="store_true", help="data on stdout instead of a table")
    commands.add_parser("down", help="stop everything; data stay")
    load = commands.add_parser("load", help="make a CSV or parquet file a table of the embedded PostgreSQL")
    load.add_argument("file", metavar="FILE", help="a CSV or parquet file")
    load.add_argument("--table", metavar="NAME", required=True, help="the table that it becomes, or replaces")
    commands.add_parser("prune", help="remove old logs, cache entries and run reports")
    reset = commands.add_parser("reset", help="stop everything and delete all data")
    reset.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def _run(options: argparse.Namespace) -> int:
    from common.paths import state_dir
    from embedded import commands, selection
    from embedded.layout import Layout

    settings = _settings(options.command)
    for name in [name for name in os.environ if name.startswith(OF_THE_USER)]:
        del os.environ[name]  # libpq and git would obey them, and they speak of other servers
    layout = Layout(state_dir().resolve())
    command = commands.Commands(layout, settings, selection.services(layout, settings))
    chosen = getattr(command, options.command)
    arguments = {name: value for name, value in vars(options).items() if name != "command"}
    return int(chosen(**arguments))


def _settings(command: str) -> Settings:
    """What is configured; a broken configuration keeps nobody from stopping or deleting."""
    from common.config import load_settings
    from common.errors import ConfigError
    from common.settings import Settings

    try:
        return load_settings()
    except ConfigError:
        if command in ("up", "status", "load"):
            raise
        return Settings()


if __name__ == "__main__":
    main()
