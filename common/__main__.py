"""Looks at the installation: its settings, its services, its audit trail.

Run it:  python -m common config [--origin | --schema]   the settings that hold, and where each came from
         python -m common doctor [--json]                one line a service: address, version, latency, a write probe
         python -m common audit verify                   is the ledger's hash chain whole?
         python -m common schedule print --target cron   what runs by itself; also install, remove, status
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from common import logger
from common.failures import explain
from common.terminal import speak_utf8


def main() -> int:
    """Parse, dispatch, and turn errors into a sentence and an exit code."""
    speak_utf8()
    options = _parser().parse_args()
    commands: dict[str, Callable[[argparse.Namespace], int]] = {
        "config": _config,
        "doctor": _doctor,
        "audit": _audit,
        "schedule": _schedule,
    }
    logger.configure()  # warnings go to stderr: stdout belongs to data
    try:
        return commands[options.command](options)
    except Exception as error:  # where the process ends: a sentence and a code, whatever it was
        failure = explain(error)
        print(failure.cause, failure.hint, file=sys.stderr)
        return int(failure.code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m common", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--env", metavar="NAME", choices=["development", "staging", "production"])
    common.add_argument("--config", metavar="FILE", type=Path)
    common.add_argument("--set", metavar="a.b=c", action="append", default=[])
    commands = parser.add_subparsers(dest="command", required=True)
    config = commands.add_parser("config", parents=[common], help="show the settings")
    config.add_argument("--origin", action="store_true", help="with the source of each value")
    config.add_argument("--schema", action="store_true", help="the JSON Schema of config.yaml, for editors")
    doctor = commands.add_parser("doctor", parents=[common], help="look at every service")
    doctor.add_argument("--json", action="store_true")
    audit = commands.add_parser("audit", parents=[common], help="check the audit trail")
    audit.add_argument("action", choices=["verify"])
    schedule = commands.add_parser("schedule", parents=[common], help="what runs by itself")
    schedule.add_argument("action", choices=["print", "install", "remove", "status", "ping"])
    schedule.add_argument("name", nargs="?", help="for `ping`: the schedule that succeeded")
    schedule.add_argument("--target", choices=["cron", "systemd", "k8s"], help="who starts the runs")
    return parser


def _config(options: argparse.Namespace) -> int:
    from common import config_shown

    if options.schema:
        print(config_shown.schema())
    else:
        print(config_shown.listing(options.env, options.config, tuple(options.set), options.origin))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from common import doctor
    from common.config import load_settings

    findings = doctor.examine(load_settings(options.env, options.config, tuple(options.set)))
    print(json.dumps([f._asdict() for f in findings], indent=2) if options.json else doctor.as_text(findings))
    return max((finding.exit_code for finding in findings), default=0)


def _audit(options: argparse.Namespace) -> int:
    from common import anchors
    from common.config import load_settings
    from common.ledger import ledger_to_read

    settings = load_settings(options.env, options.config, tuple(options.set))
    ledger = ledger_to_read(settings)
    if ledger is None:
        lost = anchors.anchors_file(settings).exists()
        print("The ledger is gone, and its anchors are not." if lost else "There is no ledger yet: nothing has run.")
        return 1
    known = anchors.remembered(settings, ledger, lambda sentence: print(sentence, file=sys.stderr))
    finding = anchors.verify(ledger, known)
    print(finding.sentence)
    return 0 if finding.entry is None else 1


def _schedule(options: argparse.Namespace) -> int:
    from common import schedule

    return schedule.run(options)


if __name__ == "__main__":
    raise SystemExit(main())
