"""What went wrong, for a person: one sentence, what to do, and the exit code that says it to a machine."""

import errno
import traceback
from dataclasses import dataclass

from common.errors import ExitCode, Expired, Interrupted, MlopsError
from common.logger import without_secrets

DISK = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS}


@dataclass(frozen=True)
class Failure:
    """`cause` is one sentence; `hint` says what to do; `trace` is for -v and for the run's directory."""

    code: ExitCode
    cause: str
    hint: str = ""
    trace: str = ""


def explain(error: BaseException) -> Failure:
    """The failure that an exception stands for. What nobody foresaw is our bug, exit 70."""
    code, cause, hint = _explained(error)
    trace = "".join(traceback.format_exception(error))
    return Failure(code, without_secrets(cause), without_secrets(hint), without_secrets(trace))


def _explained(error: BaseException) -> tuple[ExitCode, str, str]:
    if isinstance(error, MlopsError):
        return error.exit_code, error.message, error.hint
    if isinstance(error, Interrupted):
        return error.exit_code, "Stopped by a signal; run it again to go on where it was.", ""
    if isinstance(error, Expired):
        return ExitCode.DEADLINE, str(error), "The log says what it waited for; the step's file sets its deadline."
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED, "Stopped by Ctrl-C; run it again to go on where it was.", ""
    if isinstance(error, OSError) and error.errno in DISK:
        return ExitCode.STORAGE, f"{_where(error)}: {error.strerror}.", "Free space or mend the disk; then run again."
    if isinstance(error, PermissionError):
        return ExitCode.PERMISSION, f"{_where(error)}: permission denied.", "Give this user access to it."
    first_line = next(iter(str(error).splitlines()), "")
    return ExitCode.BUG, f"{type(error).__name__}: {first_line}", "This should not happen: -v shows the traceback."


def _where(error: OSError) -> str:
    return str(error.filename) if error.filename else "The disk"
