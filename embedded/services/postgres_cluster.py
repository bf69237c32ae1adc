"""Makes PostgreSQL's data directory: whole or not at all, with a password from the first moment on."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from common.errors import ConfigError, Unavailable
from embedded.layout import Layout
from embedded.services.postgres_place import Place

ASIDE = "postgres.new."


def create_cluster(layout: Layout, place: Place, user: str, password: str) -> None:
    """initdb into a new directory beside the final one, which then takes its name.

    The directory has a name of its own each time: the initdb of a killed attempt may still write into its own.
    Raises ConfigError (exit 78) for a user without a name, Unavailable (exit 69) when initdb fails.
    """
    _refuse_nameless_user()
    for left in place.data.parent.glob(f"{ASIDE}*"):
        shutil.rmtree(left, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=place.data.parent))
    data, password_file = aside / "data", aside / "password"
    try:
        data.mkdir(mode=0o700)
        password_file.touch(0o600)
        password_file.write_text(password)
        _give_to_account(place, aside, data, password_file)
        _run_initdb(layout, place, user, data, password_file)
        data.rename(place.data)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


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
