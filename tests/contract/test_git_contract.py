"""git: what promotion and data versions stand on, with the embedded remote and with a real one."""

from pathlib import Path

import pytest

from common import retry
from common.errors import ConfigError
from common.git_command import git, in_our_words
from common.process import CommandFailed
from tests.contract.conftest import Remote, own_name


def committed(where: Path, text: str, *trailers: str) -> str:
    (where / "file").write_text(text)
    git(where, "add", "file")
    git(where, "commit", "--quiet", "-m", f"say {text}", *(part for each in trailers for part in ("--trailer", each)))
    return git(where, "rev-parse", "HEAD").strip()


def head_of(remote: Remote, where: Path) -> str:
    return remote.call(where, "ls-remote", "origin", f"refs/heads/{remote.branch}").partition("\t")[0]


def push(remote: Remote, where: Path, expected: str) -> None:
    """Push with a lease: only where the branch still is what we have seen."""
    lease = f"--force-with-lease=refs/heads/{remote.branch}:{expected}"
    remote.call(where, "push", "--quiet", lease, "origin", f"HEAD:refs/heads/{remote.branch}")


def test_a_branch_that_was_not_there_is_made_by_one_of_two_pushers(remote: Remote) -> None:
    one, two = remote.clone(), remote.clone()
    assert head_of(remote, one) == ""
    first = committed(one, "one")
    committed(two, "two")
    push(remote, one, "")
    with pytest.raises(CommandFailed) as rejected:
        push(remote, two, "")
    assert retry.git.is_transient(rejected.value), "the repeated call fetches first"
    assert head_of(remote, two) == first


def test_a_push_whose_lease_is_old_is_rejected_and_loses_nothing(remote: Remote) -> None:
    one, two = remote.clone(), remote.clone()
    seen = committed(one, "one")
    push(remote, one, "")
    newer = committed(one, "newer")
    push(remote, one, seen)
    committed(two, "two")
    with pytest.raises(CommandFailed):
        push(remote, two, seen)
    assert head_of(remote, two) == newer


def test_a_commit_with_its_trailers_is_read_by_another_clone(remote: Remote) -> None:
    one, two = remote.clone(), remote.clone()
    made = committed(one, "one", "Model-Version: 3", "Approved-by: somebody")
    push(remote, one, "")
    remote.call(two, "fetch", "--quiet", "--depth=1", "origin", f"refs/heads/{remote.branch}")
    said = git(two, "log", "-1", "--format=%(trailers:key=Model-Version,valueonly)%H", "FETCH_HEAD")
    assert said.split() == ["3", made]


def test_a_repository_that_is_not_there_is_a_matter_of_configuration(remote: Remote) -> None:
    missing = remote.url.rstrip("/").removesuffix(".git") + f"-{own_name()}.git"
    where = remote.clone()
    with pytest.raises(Exception) as told, in_our_words("The remote", missing, "git.deployments_url"):  # noqa: PT011
        remote.call(where, "ls-remote", missing)
    assert isinstance(told.value, ConfigError) or "refused us" in str(told.value), "hosts hide what they have"
