"""Flags of a step: shortcuts of settings, so that `--version 3` says `--set uc2.version=3`.

    FLAGS = (Flag("--version", "uc2.version", "N", "the version to try"),)

The step's own script takes them, and so does a pipeline of such steps. They become `--set`, at their place on the
command line: what comes last holds, and nothing behind the command line knows of them.
"""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Flag:
    """A flag such as "--version", the dotted path of the setting that it sets, and what --help says of it.

    Where `alone` is given, the flag may stand without a value and then means that one.
    One whose name has no dashes is given by its place: `customers` instead of `--focus customers`, or left out.
    """

    name: str
    path: str
    metavar: str
    help: str
    alone: str = ""

    def assignment(self, value: str) -> str:
        """The value as --set would have it."""
        return f"{self.path}={value}"


def flags_of(modules: Iterable[ModuleType]) -> tuple[Flag, ...]:
    """The flags that these step modules define, each once."""
    return tuple(dict.fromkeys(flag for module in modules for flag in getattr(module, "FLAGS", ())))


def add_flags(parser: argparse.ArgumentParser, flags: Sequence[Flag]) -> None:
    """Let the parser accept them, as assignments in `options.set`."""
    if not flags:
        return
    group = parser.add_argument_group("what these steps take")
    for flag in flags:
        said = f"{flag.help} (the setting {flag.path})".replace("%", "%%")
        if not flag.name.startswith("-"):
            group.add_argument(
                flag.name, nargs="?", action=_Placed, type=flag.assignment, metavar=flag.metavar, help=said
            )
            continue
        optional: dict[str, Any] = {"nargs": "?", "const": flag.alone} if flag.alone else {}
        group.add_argument(
            flag.name, dest="set", action="append", type=flag.assignment, metavar=flag.metavar, help=said, **optional
        )  # fmt: skip


class _Placed(argparse.Action):
    """An assignment by place: argparse allows no `dest` there."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:  # noqa: ARG002
        if values is not None:
            namespace.set = [*namespace.set, values]
