"""The repositories that Applications follow, read by git plumbing: on this machine only, and never written to."""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from common.errors import MlopsError
from common.git_command import git

MOST_BYTES = 1024 * 1024
SUFFIXES = (".yaml", ".yml", ".json")
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,200}")
Files = dict[str, str]


class SourceError(Exception):
    """The repository or the revision cannot be read; the message says why."""


@dataclass(frozen=True)
class GitSource:
    """A bare repository."""

    path: Path

    @classmethod
    def of(cls, url: str) -> "GitSource":
        """By file URL or path. Raises SourceError for what is not on this machine."""
        parts = urlsplit(url)
        if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise SourceError(f"failed to list refs: {url} is not on this machine, and nothing else is read here")
        return cls(Path(unquote(parts.path)))

    def fingerprint(self, revision: str) -> tuple[int, ...]:
        """Changes whenever the branch does; costs two looks at the file system."""
        return tuple(_mtime(self.path / each) for each in (f"refs/heads/{revision}", "packed-refs", "HEAD"))

    def resolve(self, revision: str) -> str:
        """The commit of a branch, a tag, HEAD or a hash. Raises SourceError."""
        if not REVISION.fullmatch(revision) or ".." in revision:
            raise SourceError(f"unable to resolve {revision!r} to a commit SHA")
        try:
            return _git(self.path, "rev-parse", "--quiet", "--verify", f"{revision}^{{commit}}").strip()
        except (MlopsError, OSError):
            raise SourceError(f"unable to resolve '{revision}' to a commit SHA in {self.path}") from None

    def files(self, commit: str) -> Files:
        """Every manifest of a commit, by path. Links are left out: a manifest is what it says, not where it points."""
        return _files(self.path, commit)


@lru_cache(maxsize=32)
def _files(path: Path, commit: str) -> Files:
    try:
        listed = _git(path, "ls-tree", "-r", "-z", "--long", commit)
        found = [_entry(line) for line in filter(None, listed.split("\0"))]
        read = [each for each in found if each.mode.startswith("100") and each.path.endswith(SUFFIXES)]
        if sum(each.size for each in read) > MOST_BYTES:
            raise SourceError(f"the manifests of {commit[:12]} are larger than the {MOST_BYTES:,} bytes read here")
        return {each.path: _git(path, "cat-file", "blob", each.blob) for each in read}
    except (MlopsError, OSError) as error:
        raise SourceError(f"the commit {commit[:12]} cannot be read: {error}") from None


class _Entry(NamedTuple):
    mode: str
    blob: str
    size: int
    path: str


def _entry(line: str) -> _Entry:
    facts, path = line.split("\t", 1)
    mode, _, blob, size = facts.split()
    return _Entry(mode, blob, int(size) if size.isdigit() else 0, path)


def _git(path: Path, *args: str) -> str:
    """In this very repository: not in one that its folder happens to lie in."""
    return git(path, "--git-dir=.", *args)


def _mtime(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
