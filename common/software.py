"""What software a process runs: every installed distribution, and one digest of our own code."""

import hashlib
import platform
from typing import Any

from common.keys import PACKAGES, lock_digest
from common.paths import ROOT

RECORD = "software.json"
"""Name of the record that training leaves among its run's artifacts."""


def software() -> dict[str, Any]:
    """The record, JSON-able: Python, packages, digests of our code and of requirements.lock. No host, no path."""
    return {
        "python": platform.python_version(), "packages": installed(), "requirements_lock_sha256": lock_digest(),
        "code": {"packages": ["common", *PACKAGES], "sha256": code_sha256()},
    }  # fmt: skip


def code_sha256() -> str:
    """One digest of every Python file of ours, by path and content."""
    hashed = hashlib.sha256()
    for package in ("common", *PACKAGES):
        for path in sorted((ROOT / package).rglob("*.py")):
            hashed.update(
                f"{path.relative_to(ROOT).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()
            )
    return hashed.hexdigest()


def installed() -> list[list[str]]:
    """Name and version of every distribution that this interpreter finds."""
    from importlib.metadata import distributions

    return [list(each) for each in sorted({(each.name, each.version) for each in distributions() if each.name})]
