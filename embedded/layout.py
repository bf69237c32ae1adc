"""Where the embedded platform keeps what it makes: one state directory, and outside it only what must be.

PostgreSQL refuses to run as root, and the account it then runs as may not be able to enter the state directory.
Only in that case a second directory exists, named by an id that is kept in the state directory.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from common.errors import AccessRefused
from common.publish import write_atomically

OUTSIDE = Path("/var/lib")


@dataclass(frozen=True)
class Layout:
    """Paths below one state directory."""

    state: Path

    @property
    def embedded(self) -> Path:
        """Data of the services."""
        return self.state / "embedded"

    @property
    def units(self) -> Path:
        """Locks and records of the supervised services."""
        return self.embedded / "units"

    @property
    def home(self) -> Path:
        """HOME of the services: the user's own may be missing, read-only or full of settings."""
        return self.embedded / "home"

    @property
    def secrets(self) -> Path:
        """One file a secret."""
        return self.state / "secrets"

    @property
    def logs(self) -> Path:
        """One log a service."""
        return self.state / "logs"

    @property
    def addresses(self) -> Path:
        """What `up` publishes for everybody else."""
        return self.state / "addresses.yaml"

    def unit(self, name: str, suffix: str) -> Path:
        """A file of one unit, such as its lock."""
        return self.units / f"{name}.{suffix}"

    def log(self, name: str) -> Path:
        """The log of one service."""
        return self.logs / f"{name}.log"

    @property
    def outside(self) -> Path:
        """The directory for what cannot stay in the state directory; nobody has made it yet."""
        return OUTSIDE / f"mlops-{self._clone_id()}"

    @property
    def has_clone_id(self) -> bool:
        """Was an outside directory ever asked for?"""
        return (self.embedded / "id").exists()

    def _clone_id(self) -> str:
        path = self.embedded / "id"
        if not path.exists():
            write_atomically(path, secrets.token_hex(6).encode(), 0o600)
        return path.read_text().strip()

    def create(self) -> None:
        """Make the directories. Raises AccessRefused (exit 77) when this user may not."""
        try:
            for directory in (self.state, self.embedded):
                directory.mkdir(parents=True, exist_ok=True)
            for directory in (self.units, self.home, self.secrets, self.logs):
                directory.mkdir(mode=0o700, exist_ok=True)
                directory.chmod(0o700)
            (self.units / ".writable").touch()
        except OSError as error:
            raise AccessRefused(
                f"The state directory {self.state} cannot be written: {error.strerror}.",
                "Give it to this user, or name another one in MLOPS_STATE_DIR.",
            ) from None

    def clean_environment(self) -> dict[str, str]:
        """What every service starts from: nothing of the user's settings, proxies, keys or telemetry."""
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LD_LIBRARY_PATH") if os.environ.get(name)}
        return {
            "PATH": os.defpath, **kept, "HOME": str(self.home), "LANG": "C.UTF-8", "TZ": "UTC", "DO_NOT_TRACK": "1",
        }  # fmt: skip
