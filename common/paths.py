"""Where this clone is, and where it keeps what it makes."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def state_dir() -> Path:
    """Where this clone keeps what it makes: MLOPS_STATE_DIR, else .state in the clone."""
    return Path(os.environ.get("MLOPS_STATE_DIR") or ROOT / ".state").absolute()
