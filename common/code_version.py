"""Which version of this project is running."""

import functools

from common.errors import MlopsError
from common.paths import ROOT
from common.process import run_command


@functools.cache
def code_version() -> str:
    """The commit of this clone, with -dirty where files differ from it; empty outside a clone, as in an image."""
    if not (ROOT / ".git").exists():
        return ""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return run_command(command, deadline_seconds=10).strip()
    except (MlopsError, OSError):  # no git, or a clone of somebody else: nothing depends on it
        return ""
