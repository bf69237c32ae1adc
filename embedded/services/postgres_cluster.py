"""Makes PostgreSQL's data directory: whole or not at all, with a password from the first moment on."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from common.errors import ConfigError, Unavailable
from embedded.layout import Layout
from embedded.services.postgres_place import Place


def create_cluster(layout: Layout, place: Place, user: str, password: str) -> None:
    """initdb into a directory beside the final one, which then takes its name.

    Raises ConfigError (exit 78) for a user without a name, Unavailable (exit 69) when initdb fails.
    """
    _refuse_nameless_user()
    aside = place.data.with_name("postgres.new")
    password_file = place.data.with_name("postgres.new.password")
    shutil.rmtree(aside, ignore_errors=True)
    password_file.unlink(missing_ok=True)
    aside.mkdir(mode=0o700)
    try:
        password_file.touch(0o600)
        password_file.write_text(password)
        _give_to_account(place, aside, password_file)
        _run_initdb(layout, place, user, aside, password_file)
    finally:
        password_file.unlink(missing_ok=True)
    aside.rename(place.data)


def _run_initdb(layout: Layout, place: Place, user: str, directory: Path, password_file: Path) -> None:
    command = [
        str(place.programs / "initdb"), "-D", str(directory), "-U", user, "--auth=scram-sha-256",
        f"--pwfile={password_file}", "--encoding=UTF8", "--no-locale", "--no-instructions",
    ]  # fmt: skip
    done = subprocess.run(
        command, env=layout.clean_environment(), cwd="/", capture_output=True, text=True, timeout=120, umask=0o077,
        user=place.uid, group=place.gid, extra_groups=None if place.uid is None else [], start_new_session=True,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise Unavailable(f"PostgreSQL's data directory {directory} could not be made: {last}")


def _give_to_account(place: Place, *paths: Path) -> None:
    if place.uid is not None and place.gid is not None:
        for path in paths:
            os.chown(path, place.uid, place.gid)


def _refuse_nameless_user() -> None:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise ConfigError(
            f"The user id {os.geteuid()} has no name on this machine, and PostgreSQL's initdb needs one.",
            "Add the id to /etc/passwd, run as another user, or use your own server: postgres.embedded: false",
        ) from None
