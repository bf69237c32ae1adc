"""Publishes where the services are: addresses.yaml, sections and keys as in config.yaml, always whole."""

from __future__ import annotations

from typing import Any

import yaml

from common.publish import write_atomically
from embedded import locks
from embedded.layout import Layout

Sections = dict[str, dict[str, Any]]


def published(layout: Layout) -> Sections:
    """What the file says now."""
    try:
        return yaml.safe_load(layout.addresses.read_text()) or {}
    except FileNotFoundError:
        return {}


def publish(layout: Layout, sections: Sections) -> None:
    """Add or replace these sections; readers see the old file or the new one."""
    with locks.held(layout.units / "addresses.mutex", 10):
        _write(layout, {**published(layout), **sections})


def withdraw(layout: Layout, sections: tuple[str, ...]) -> None:
    """Take these sections out: nothing listens there any more."""
    with locks.held(layout.units / "addresses.mutex", 10):
        _write(layout, {name: keys for name, keys in published(layout).items() if name not in sections})


def _write(layout: Layout, sections: Sections) -> None:
    if sections != published(layout):
        write_atomically(layout.addresses, yaml.safe_dump(sections, sort_keys=False).encode())
