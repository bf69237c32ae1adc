"""Which version of this project is running."""

import functools
import os

from common.errors import MlopsError
from common.paths import ROOT
from common.process import run_command


@functools.cache
def code_version() -> str:
    """The commit of this clone, with -dirty where files differ from it; outside a clone, that of the image."""
    if not (ROOT / ".git").exists():
        return built_from()[:12]
    # `git describe --dirty` would say both, but takes the index's lock: killed, it leaves it in the user's checkout.
    git = ["git", "--no-optional-locks", "-C", str(ROOT)]
    try:
        commit = run_command([*git, "rev-parse", "--short=12", "HEAD"], deadline_seconds=10).strip()
        changed = run_command([*git, "status", "--porcelain", "--untracked-files=no"], deadline_seconds=10)
        return f"{commit}-dirty" if changed else commit
    except (MlopsError, OSError):  # no git, or a clone of somebody else: nothing depends on it
        return ""


def built_from() -> str:
    """The commit that an image was built from, as its build was told (deploy/Dockerfile); empty where it was not."""
    return os.environ.get("MLOPS_COMMIT", "")
