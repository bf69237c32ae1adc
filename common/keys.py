"""Keys: the digest of everything that decides a step's outcome. Never a time, a host or a path of this machine."""

import ast
import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from common.paths import ROOT

PACKAGES = (
    "churn", "uc1_churn_prediction", "uc2_ab_testing", "uc3_drift_retraining", "uc4_data_lineage", "uc5_fairness_docs",
    "uc6_gitops_deployment",
)  # fmt: skip
"""First-party packages whose content joins a key. `common` is plumbing: a new log line there retrains nothing."""


def digest_of(value: Any) -> str:
    """SHA-256, in hex, of a JSON-able value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def code_digest(path: Path) -> str:
    """Digest of a module and of the first-party modules it imports, however deep, outside `common`."""
    seen: dict[str, str] = {}
    waiting = [path]
    while waiting:
        module = waiting.pop()
        name = module.relative_to(ROOT).as_posix() if module.is_relative_to(ROOT) else module.name
        if name not in seen:
            source = module.read_bytes()
            seen[name] = hashlib.sha256(source).hexdigest()
            waiting += _first_party_imports(source)
    return digest_of(seen)


@functools.cache
def lock_digest() -> str:
    """Digest of requirements.lock: other library versions may give other results. Empty in an image without it."""
    lock = ROOT / "requirements.lock"
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else ""


def _first_party_imports(source: bytes) -> list[Path]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    candidates = [ROOT / (name.replace(".", "/") + ".py") for name in found if name.split(".")[0] in PACKAGES]
    return [path for path in candidates if path.is_file()]
