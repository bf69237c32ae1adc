"""Secrets in files of mode 0600, made on first use and never shown."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from common.secret_forms import forms
from embedded.layout import Layout


def secret(layout: Layout, name: str) -> str:
    """The secret of that name; made now when there is none. Safe when many ask at once: one wins, all agree."""
    path = layout.secrets / name
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        _make(path)
    return path.read_text().strip()


def secret_path(layout: Layout, name: str) -> Path:
    """The file that holds it, for programs that want a path."""
    secret(layout, name)
    return layout.secrets / name


def masked(layout: Layout, text: str) -> str:
    """The text without any of our secrets, however they are written."""
    for path in layout.secrets.glob("*"):
        for form in forms(path.read_text().strip() or "\0"):
            text = text.replace(form, "***")
    return text


def _make(path: Path) -> None:
    """Written aside, then linked: a link fails where the name exists, so the first one stays."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(24))
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(aside)
    except FileExistsError:
        pass
    finally:
        aside.unlink()
