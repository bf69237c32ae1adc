"""Errors by what the caller would do about them: each kind has its own exit code.

The message is one sentence that says what is wrong and where; the hint says what to do.
Codes follow sysexits.h where it has one.
"""

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.step import Result


class ExitCode(IntEnum):
    """What a script's exit code means. docs/reference/exit-codes.md is checked against this list."""

    OK = 0
    STEP_FAILED = 1
    USAGE = 2
    GATE_REFUSED = 3
    BAD_DATA = 65
    UNAVAILABLE = 69
    BUG = 70
    STORAGE = 74
    LOCKED = 75
    PERMISSION = 77
    CONFIG = 78
    DEADLINE = 124
    INTERRUPTED = 130
    TERMINATED = 143


class MlopsError(Exception):
    """Something a person can mend. `message` is one sentence; `hint` is what to do about it."""

    exit_code: ExitCode = ExitCode.STEP_FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class StepFailed(MlopsError):
    """A step did its work and the work failed."""


class UsageError(MlopsError):
    """The command line asks for something that does not exist."""

    exit_code = ExitCode.USAGE


class GateRefused(MlopsError):
    """A gate said no: nothing broke, and nothing was promoted.

    `result` is what the step found all the same: the report shows it, and no other step takes it for an input.
    """

    exit_code = ExitCode.GATE_REFUSED

    def __init__(self, message: str, hint: str = "", result: "Result | None" = None) -> None:
        super().__init__(message, hint)
        self.result = result


class InvalidData(MlopsError):
    """The data is not what the configuration says it is."""

    exit_code = ExitCode.BAD_DATA


class Unavailable(MlopsError):
    """A service did not answer, or not in time, after all retries."""

    exit_code = ExitCode.UNAVAILABLE


class StorageFull(MlopsError):
    """The local disk is full, read-only or failing."""

    exit_code = ExitCode.STORAGE


class Locked(MlopsError):
    """Another run holds the lock."""

    exit_code = ExitCode.LOCKED


class AccessRefused(MlopsError):
    """A service or the file system said: not you."""

    exit_code = ExitCode.PERMISSION


class ConfigError(MlopsError):
    """The configuration contradicts itself, or names something that does not exist."""

    exit_code = ExitCode.CONFIG


class DeadlineExceeded(MlopsError):
    """A step or a call took longer than it may."""

    exit_code = ExitCode.DEADLINE


class Expired(BaseException):
    """A deadline passed while a step was running. Not an Exception, so that no library swallows it."""


class Interrupted(BaseException):
    """SIGINT or SIGTERM arrived. Not an Exception, so that no `except Exception` swallows it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"interrupted by signal {signal_number}")
        self.exit_code = ExitCode(128 + signal_number)
