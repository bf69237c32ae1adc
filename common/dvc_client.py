"""The data repository: a git repository of its own, never the user's checkout; DVC keeps its files in S3.

Every call works in a fresh clone that is thrown away, with a cache of its own: a killed run leaves no lock, no
half index and no half file that another could trip over. DVC never holds the only copy: it is given a link to
a snapshot that S3 has already. Data go to S3 before the commit goes to git: every commit can be pulled.

    git clone URL && cd ... && AWS_ENDPOINT_URL=... AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... dvc pull
"""

import fcntl
import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from common import git_locks, retry
from common.errors import AccessRefused, ConfigError, StepFailed, Unavailable
from common.git_command import address, author, credentials, environment, git, host_of, in_our_words, refuse_foreign
from common.logger import get_logger
from common.minio_client import ObjectStore
from common.process import CommandFailed, run_command
from common.settings import Settings

log = get_logger(__name__)

DVC_SECONDS = 900
WORKS = "work-"


@dataclass(frozen=True)
class Commit:
    """A version of one file: the commit that holds its pointer, and its MD5, DVC's name for the content."""

    commit: str
    path: str
    md5: str
    remote: str
    created: bool


class DataRepository:
    """The data repository of the configuration. `path` is a private directory for clones, emptied at will."""

    def __init__(self, settings: Settings, path: Path) -> None:
        self.settings = settings
        self.url = settings.dvc.git_url
        self.branch = settings.dvc.branch
        self.prefix = settings.dvc.prefix.strip("/")
        self.path = path
        self.store = ObjectStore(settings.minio)

    @property
    def remote(self) -> str:
        """Where DVC keeps the files."""
        return f"s3://{self.store.bucket}/{self.prefix}"

    def state(self, name: str) -> dict[str, Any]:
        """A cheap look: the MD5 that the newest commit has for `name`, and whether S3 holds those bytes."""
        with in_our_words("The data repository", self.url, "dvc.git_url"):
            md5 = retry.git.call(self._md5_at_head, name)
        return {"md5": md5, "stored": bool(md5) and self.store.exists(self._key(md5))}

    def _md5_at_head(self, name: str) -> str:
        with self._clone() as clone:
            return _pointer(clone, name)

    def commit_of(self, digest: str) -> str:
        """The newest commit whose trailer Data-Digest is this digest; empty where there is none."""

        def find() -> str:
            with self._clone() as clone:
                if (clone / ".git" / "shallow").exists():
                    self._remotely(clone, "fetch", "--quiet", "--unshallow", "origin", f"refs/heads/{self.branch}")
                wanted = ("--fixed-strings", f"--grep=Data-Digest: {digest}")
                return git(clone, "log", "--all", "-1", "--format=%H", *wanted).strip()

        with in_our_words("The data repository", self.url, "dvc.git_url"):
            return retry.git.call(find)

    def ping(self) -> str:
        """What versions are at work. Raises Unavailable, AccessRefused or ConfigError about the repository."""
        from importlib.metadata import version

        with in_our_words("The data repository", self.url, "dvc.git_url"):
            retry.git.call(self._reach)
        return f"DVC {version('dvc')}, {git(self.path, '--version').strip()}"

    def _reach(self) -> None:
        with self._clone():
            pass

    def probe_write(self) -> None:
        """Prove that the remote would take a push from us, without one."""
        with in_our_words("The data repository", self.url, "dvc.git_url"), self._clone() as clone:
            who = author(self.settings.git, datetime.now(UTC))
            git(clone, "commit", "--quiet", "--allow-empty", "--message", "probe", env=who)
            self._remotely(clone, "push", "--quiet", "--dry-run", "origin", f"HEAD:refs/heads/{self.branch}")

    def commit(self, file: Path, name: str, *, message: str, trailers: Mapping[str, str], date: datetime) -> Commit:
        """Make `file` the newest version of `name`: one commit if its bytes are new, none if they are not.

        `file` is linked, not moved, and becomes read-only. `date` is the commit's; take it from the data, so
        that a repeated run makes the very same commit. Raises Unavailable, AccessRefused or ConfigError.
        """
        with in_our_words("The data repository", self.url, "dvc.git_url"):
            return retry.git.call(self._commit, file, name, _message(message, trailers), date)

    def _commit(self, file: Path, name: str, message: str, date: datetime) -> Commit:
        """One attempt from a fresh clone. A rejected push means that somebody was first; the next sees it."""
        with self._clone() as clone:
            md5 = _md5(file)
            self._declare(clone)
            if _pointer(clone, name) != md5 or not self.store.exists(self._key(md5)):
                self._add(clone, file, name)
                self._push_data(clone, name, md5)
            created = self._push_commit(clone, message, date)
            head = git(clone, "rev-parse", "HEAD").strip()
        log.info("versioned", path=name, commit=head[:12], created=created)
        return Commit(head, name, md5, self.remote, created)

    @contextmanager
    def _clone(self) -> Iterator[Path]:
        """A fresh clone of the newest commit, or of nothing yet; it ends with the block."""
        if not self.url:
            raise ConfigError("dvc.git_url is empty: there is no data repository.", "Set dvc.git_url.")
        self.path.mkdir(parents=True, exist_ok=True)
        with _held(self.path):  # nobody sweeps between the making of a directory and its being held
            _sweep(self.path)
            work = Path(tempfile.mkdtemp(dir=self.path, prefix=WORKS))
            held = _hold(work)
        try:
            yield self._fetched(work / "data")
        finally:
            _remove(work)
            os.close(held)

    def _fetched(self, clone: Path) -> Path:
        clone.mkdir()
        git(clone, "init", "--quiet", "--initial-branch", self.branch)
        git(clone, "remote", "add", "--", "origin", address(self.url))
        head = f"refs/heads/{self.branch}"
        if self._remotely(clone, "ls-remote", "origin", head).strip():
            self._remotely(clone, "fetch", "--quiet", "--depth", "1", "origin", head)
            git(clone, "reset", "--quiet", "--hard", "FETCH_HEAD")
        else:
            refuse_foreign(clone, self.url, self._credentials())
        return clone

    def _remotely(self, clone: Path, *args: str) -> str:
        """A git command that reaches the remote: it alone gets the credentials, by its environment."""
        return git(clone, *args, env=self._credentials())

    def _credentials(self) -> dict[str, str]:
        """Those of `dvc`, else of the URL; where there are none, those that `git` has for the same host."""
        dvc, other = self.settings.dvc, self.settings.git
        own = dvc.username or dvc.password.get_secret_value() or urlsplit(self.url).username
        chosen = dvc if own or host_of(self.url) != host_of(other.deployments_url) else other
        return credentials(self.url, chosen.username, chosen.password.get_secret_value())

    def _declare(self, clone: Path) -> None:
        """The repository's own set-up: where files are kept. Addresses and keys stay with whoever pulls."""
        config = clone / ".dvc" / "config"
        config.parent.mkdir(exist_ok=True)
        (config.parent / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
        wanted = (
            "[core]\n    remote = storage\n    analytics = false\n    check_update = false\n"
            f"['remote \"storage\"']\n    url = {self.remote}\n"
        )
        config.write_text(wanted, encoding="utf-8")
        local = f'[cache]\n    dir = {clone.parent / "cache"}\n    type = "hardlink,copy"\n'
        (clone / ".dvc" / "config.local").write_text(local, encoding="utf-8")

    def _add(self, clone: Path, file: Path, name: str) -> None:
        target = clone / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, target)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(file, target)
        self._dvc(clone, "add", "--", name)

    def _push_data(self, clone: Path, name: str, md5: str) -> None:
        """Push, then ask S3 itself, at the address that DVC will pull from."""
        try:
            self._dvc(clone, "push", "--", f"{name}.dvc")  # it retries by itself
        except CommandFailed as error:
            raise _in_our_words(error, self.remote) from error
        if _pointer(clone, name) != md5 or not self.store.exists(self._key(md5)):
            url = self._dvc(clone, "get", "--show-url", str(clone), name).strip()
            if not self.store.exists(self.store.key(url)):
                raise StepFailed(f"DVC did not store {name} ({md5}) at {self.remote}.", "Run it again.")

    def _push_commit(self, clone: Path, message: str, date: datetime) -> bool:
        git(clone, "add", "--all")
        if not git(clone, "status", "--porcelain"):
            return False
        git(clone, "commit", "--quiet", "--message", message, env=author(self.settings.git, date))
        git_locks.remove_stale(self.url)
        self._remotely(clone, "push", "--quiet", "origin", f"HEAD:refs/heads/{self.branch}")
        return True

    def _dvc(self, clone: Path, *args: str) -> str:
        command = [sys.executable, "-m", "dvc", *args]
        return run_command(command, cwd=clone, env=self._environment(clone), deadline_seconds=DVC_SECONDS)

    def _environment(self, clone: Path) -> dict[str, str]:
        """DVC's directories lie beside the clone: neither the user's settings nor other caches are seen."""
        foreign = ("AWS_", "DVC_", "XDG_")
        own = {name: value for name, value in environment().items() if not name.startswith(foreign)}
        private = {f"DVC_{kind}_DIR": str(clone.parent / kind.lower())
                   for kind in ("SITE_CACHE", "GLOBAL_CONFIG", "SYSTEM_CONFIG", "STUDIO")}  # fmt: skip
        quiet = {"DVC_NO_ANALYTICS": "true", "HOME": str(clone.parent), "PYTHONWARNINGS": "ignore"}
        return {**own, **private, **quiet, **self.store.environment()}

    def _key(self, md5: str) -> str:
        """Where DVC 3 keeps these bytes; if it ever moves them, we only push once more than needed."""
        return f"{self.prefix}/files/md5/{md5[:2]}/{md5[2:]}"


def _hold(path: Path) -> int:
    """A lock on a directory that ends with this process, whatever ends it; wait for it. Returns its descriptor."""
    descriptor = os.open(path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


@contextmanager
def _held(path: Path) -> Iterator[None]:
    descriptor = _hold(path)
    try:
        yield
    finally:
        os.close(descriptor)


def _sweep(path: Path) -> None:
    """Remove what killed runs left: nobody holds it any more. What a run beside us works in stays."""
    for left in path.glob(f"{WORKS}*"):
        try:
            descriptor = os.open(left, os.O_RDONLY)
        except FileNotFoundError:  # its run ended just now
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            _remove(left)
        finally:
            os.close(descriptor)


def _pointer(clone: Path, name: str) -> str:
    """The MD5 that the clone's pointer file has for `name`; empty without one."""
    file = clone / f"{name}.dvc"
    if not file.exists():
        return ""
    (out,) = yaml.safe_load(file.read_text(encoding="utf-8"))["outs"]
    return str(out["md5"])


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _message(subject: str, trailers: Mapping[str, str]) -> str:
    return subject + "\n\n" + "".join(f"{name}: {value}\n" for name, value in trailers.items())


def _remove(path: Path) -> None:
    # DVC makes cached files read-only; the directories stay writable, which is all that removing asks for.
    shutil.rmtree(path, ignore_errors=True)


def _in_our_words(error: CommandFailed, remote: str) -> Exception:
    lines = [line for line in error.stderr.splitlines() if line.startswith("ERROR")]
    said = lines[0].removeprefix("ERROR: ").rstrip(".") if lines else error.message
    if re.search(r"Forbidden|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch", error.stderr):
        return AccessRefused(f"S3 refused DVC's push to {remote}.", "Check minio.access_key and its secret.")
    if retry.object_store.is_transient(error):
        return Unavailable(f"DVC could not push to {remote}: {said}.", "Is S3 running?")
    return StepFailed(f"DVC could not push to {remote}: {said}.")
