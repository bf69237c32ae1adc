"""A git repository that we write by plumbing: no work tree, no index, nothing that a killed run could leave half done.

A commit is built from blobs and trees in a private bare clone and pushed as a compare-and-swap: `--force-with-lease`
with the commit that it stands on. Where somebody was first, it is built once more on what they pushed. The same files
on the same commit with the same message and date are the same commit. The clone is a cache, and may be deleted.
"""

import fcntl
import hashlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from common import git_locks, names, retry
from common.errors import ConfigError, Locked
from common.git_command import address, author, credentials, git, in_our_words, refuse_foreign
from common.git_objects import commit_tree, parsed, tree_with
from common.logger import get_logger
from common.process import CommandFailed
from common.publish import settle
from common.settings import Git as Section
from common.transient import Verdict

log = get_logger(__name__)
REMOTE_HEAD = "refs/remotes/origin/head"
LOCK_SECONDS = 120
PROBE_BRANCH = "refs/heads/mlops-write-probe"
# What git itself may be asked to speak; "ext" runs commands, and nobody needs the others.
PROTOCOLS = {"GIT_ALLOW_PROTOCOL": "file:https:http:ssh"}


@dataclass(frozen=True)
class Change:
    """A commit to make. `files` maps paths to contents; None removes one. `date` is the author's and committer's."""

    files: Mapping[str, str | None]
    message: str
    date: datetime


@dataclass(frozen=True)
class Published:
    """The head of the branch after `publish`; `created` is False where everything was there already."""

    commit: str
    created: bool


class GitRepository:
    """A branch of a remote. `folder` is where the private clone lies."""

    def __init__(self, settings: Section, folder: Path) -> None:
        self.url, self.branch = settings.deployments_url, settings.branch
        self._settings = settings
        self._path = folder / f"deployments-{hashlib.sha256(self.url.encode()).hexdigest()[:12]}.git"

    # Reading: from the clone, as it was when last fetched

    def fetch(self) -> str:
        """Look at the remote; returns the branch's newest commit, "" where the branch does not exist yet."""
        with self._reached(), self._alone():
            return retry.git.call(self._fetch)

    def tree(self, commit: str, folder: str) -> str:
        """Name of a folder's content: equal where its files are; "" where there is no such folder."""
        return self._parsed(f"{commit}:{folder}") if commit else ""

    def read(self, commit: str, path: str) -> str | None:
        """A file as a commit has it, or None."""
        blob = self._parsed(f"{commit}:{path}") if commit else ""
        return git(self._path, "cat-file", "blob", blob) if blob else None

    def files(self, commit: str, folder: str) -> dict[str, str]:
        """Every file below a folder, by path."""
        if not commit:
            return {}
        listed = git(self._path, "ls-tree", "-r", "-z", "--name-only", commit, "--", f"{folder}/")
        return {path: self.read(commit, path) or "" for path in listed.split("\0") if path}

    def history(self, commit: str, folder: str) -> tuple[str, ...]:
        """The commits that changed a folder, newest first."""
        if not commit:
            return ()
        return tuple(git(self._path, "log", "--first-parent", "--format=%H", commit, "--", folder).split())

    def message(self, commit: str) -> str:
        """What a commit says."""
        return git(self._path, "show", "--no-patch", "--format=%B", commit, "--")

    def time(self, commit: str) -> datetime:
        """When it was made."""
        return datetime.fromtimestamp(int(git(self._path, "show", "--no-patch", "--format=%ct", commit, "--")), UTC)

    def parent(self, commit: str) -> str:
        """The commit before; "" for the first."""
        return self._parsed(f"{commit}^")

    def find(self, name: str) -> str:
        """The full hash of a commit; "" for one that is not known here."""
        return self._parsed(f"{names.commit(name)}^{{commit}}")

    def ping(self) -> str:
        """git's version. Raises Unavailable, AccessRefused or ConfigError about the remote."""
        self.fetch()
        return git(self._path, "--version").strip().removeprefix("git version ").join(("git ", ""))

    def probe_write(self) -> None:
        """Prove that the remote would take a push from us, without one."""
        with self._reached(), self._alone():
            who = author(self._settings, datetime.now(UTC))
            probe = commit_tree(self._path, tree_with(self._path, "", {}), "", "probe\n", who)
            self._remotely("push", "--quiet", "--dry-run", "--", self._address, f"{probe}:{PROBE_BRANCH}")

    # Writing

    def publish(self, build: Callable[[str], Change | None]) -> Published:
        """Make the commit that `build(head)` describes and push it; None, or an equal tree: no commit.

        Where the push is rejected because somebody was first, all of it is done once more on their commit.
        """
        with self._reached(), self._alone():
            try:
                return self._publish(build)
            except CommandFailed as error:
                if retry.git.verdict(error) is Verdict.FINAL:
                    raise
                log.warning("the push did not get through; fetching, and trying once more", cause=error.message)
                time.sleep(retry.SHORTEST_WAIT_SECONDS)
                return self._publish(build)

    def _publish(self, build: Callable[[str], Change | None]) -> Published:
        base = self._fetch()
        change = build(base)
        if change is None:
            return Published(base, created=False)
        before = self._parsed(f"{base}^{{tree}}") if base else ""
        tree = tree_with(self._path, before, change.files)
        if tree == before:
            return Published(base, created=False)
        commit = commit_tree(self._path, tree, base, change.message, author(self._settings, change.date))
        head = f"refs/heads/{self.branch}"
        lease = f"--force-with-lease={head}:{base}"
        self._remotely("push", "--quiet", lease, "--", self._address, f"{commit}:{head}")
        git(self._path, "update-ref", REMOTE_HEAD, commit)
        log.info("pushed", commit=commit[:12], branch=self.branch, files=len(change.files))
        return Published(commit, created=True)

    def _fetch(self) -> str:
        head = f"refs/heads/{self.branch}"
        found = self._remotely("ls-remote", "--", self._address, head).split()
        if not found:
            refuse_foreign(self._path, self.url, {**PROTOCOLS, **self._credentials()})
            git(self._path, "update-ref", "-d", REMOTE_HEAD)
            return ""
        if self._parsed(f"{found[0]}^{{commit}}") != found[0]:
            self._remotely("fetch", "--quiet", "--no-tags", "--", self._address, f"+{head}:{REMOTE_HEAD}")
            return git(self._path, "rev-parse", REMOTE_HEAD).strip()
        git(self._path, "update-ref", REMOTE_HEAD, found[0])
        return found[0]

    def _parsed(self, expression: str) -> str:
        return parsed(self._path, expression)

    @cached_property
    def _address(self) -> str:
        return address(self.url)

    def _remotely(self, *args: str) -> str:
        """A git command that reaches the remote: it alone gets the credentials, by its environment."""
        return git(self._path, *args, env={**PROTOCOLS, **self._credentials()})

    def _credentials(self) -> dict[str, str]:
        user, secret = self._settings.username, self._settings.password.get_secret_value()
        return credentials(self.url, user, secret)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        if not self.url:
            raise ConfigError("git.deployments_url is empty: there is no deployments repository.",
                              "Set git.deployments_url.")  # fmt: skip
        with in_our_words("The deployments repository", self.url, "git.deployments_url"):
            yield

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the clone's lock; what a killed git left in it is then nobody's, and is removed."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._path.with_suffix(".lock").open("a") as file:
            _wait_for(file.fileno(), self._path)
            for left in self._path.rglob("*.lock"):
                log.warning("removing a lock that a killed git left in our own clone", file=left.name)
                left.unlink(missing_ok=True)
            git_locks.remove_stale(self.url)
            self._ensure_clone()
            yield

    def _ensure_clone(self) -> None:
        """A bare repository, made aside: it is whole or not there."""
        if (self._path / "HEAD").exists():
            return
        aside = self._path.with_suffix(".new")
        for path in (aside, self._path):
            shutil.rmtree(path, ignore_errors=True)
        git(self._path.parent, "init", "--quiet", "--bare", "--template=", "--", str(aside))
        settle(aside, self._path)


def _wait_for(descriptor: int, path: Path) -> None:
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise Locked(f"Another process works in {path}.", "Wait for it, or end it.") from None
            time.sleep(0.05)
        else:
            return
