"""The git client: one commit whatever happens on the way, and nothing secret where others look."""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

import common.git_client
import common.git_objects
from common import git_command, retry
from common.errors import AccessRefused, MlopsError
from common.git_client import Change, GitRepository
from common.git_command import in_our_words
from common.process import CommandFailed
from common.settings import Git
from common.transient import Verdict
from tests.data.git_server import git_server

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
FILES = {"base/a.yaml": "a: 1\n", "overlays/production/b.yaml": "b: 1\n"}
PASSWORD = "CANARY-7f3a-p@ss/w#d"


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    path = tmp_path / "remote.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", str(path)], check=True)
    subprocess.run(["git", "-C", str(path), "config", "http.receivepack", "true"], check=True)
    return path


def client(remote: Path | str, folder: Path, **more: Any) -> GitRepository:
    return GitRepository(Git(deployments_url=str(remote), **more), folder)


def promotion(files: dict[str, str | None] | None = None, message: str = "promote\n") -> Any:
    return lambda _head: Change(files if files is not None else dict(FILES), message, AT)


def log(remote: Path, *args: str) -> list[str]:
    command = ["git", "-C", str(remote), "log", "--format=%s", *args, "main"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()


def test_the_same_files_on_the_same_commit_are_the_same_commit_from_any_machine(tmp_path: Path) -> None:
    hashes = []
    for machine in ("one", "two"):
        remote = tmp_path / f"{machine}.git"
        subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", str(remote)], check=True)
        hashes.append(client(remote, tmp_path / machine).publish(promotion()).commit)
    assert hashes[0] == hashes[1]


def test_an_equal_tree_makes_no_commit_and_a_file_set_to_none_goes_with_its_folder(
    remote: Path, tmp_path: Path
) -> None:
    repository = client(remote, tmp_path / "clone")
    first = repository.publish(promotion())
    assert repository.publish(promotion(message="again\n")) == type(first)(first.commit, created=False)
    last = repository.publish(promotion({"overlays/production/b.yaml": None})).commit
    assert repository.files(last, "overlays") == {}
    assert repository.tree(last, "overlays") == ""
    assert repository.read(last, "base/a.yaml") == "a: 1\n"
    assert log(remote) == ["promote", "promote"]


def test_a_push_that_somebody_else_beat_is_made_again_on_their_commit(remote: Path, tmp_path: Path) -> None:
    ours, theirs = client(remote, tmp_path / "ours"), client(remote, tmp_path / "theirs")
    ours.publish(promotion({"start.yaml": "x: 1\n"}, "start\n"))
    heads = []

    def build(head: str) -> Change:
        heads.append(head)
        if len(heads) == 1:
            theirs.publish(promotion({"their.yaml": "y: 1\n"}, "theirs\n"))
        return Change(FILES, "ours\n", AT)

    made = ours.publish(build)
    assert (made.created, len(heads), log(remote)) == (True, 2, ["ours", "theirs", "start"])
    assert ours.read(made.commit, "their.yaml") == "y: 1\n"


def test_a_remote_that_always_moves_is_given_up_after_the_second_try_and_keeps_its_own(
    remote: Path, tmp_path: Path
) -> None:
    ours, theirs = client(remote, tmp_path / "ours"), client(remote, tmp_path / "theirs")
    theirs.publish(promotion({"start.yaml": "x: 0\n"}, "start\n"))
    tries = []

    def build(_head: str) -> Change:
        tries.append(1)
        theirs.publish(promotion({"their.yaml": f"y: {len(tries)}\n"}, f"theirs {len(tries)}\n"))
        return Change(FILES, "ours\n", AT)

    with pytest.raises(MlopsError):
        ours.publish(build)
    assert (len(tries), log(remote)) == (2, ["theirs 2", "theirs 1", "start"])


def test_locks_that_a_killed_git_left_in_our_clone_are_removed_and_the_push_goes_through(
    remote: Path, tmp_path: Path
) -> None:
    repository = client(remote, tmp_path / "clone")
    repository.publish(promotion())
    (clone,) = (tmp_path / "clone").glob("*.git")
    for name in ("HEAD.lock", "config.lock", "packed-refs.lock", "refs/remotes/origin/head.lock"):
        (clone / name).write_text("")
    assert repository.publish(promotion({"base/a.yaml": "a: 2\n"}, "second\n")).created
    assert log(remote) == ["second", "promote"]


class Killed(BaseException):
    """As SIGKILL between two commands of git: nothing after it runs."""


def killing(at: int, *, before: bool) -> Iterator[Any]:
    """git as it is, until the `at`-th command of a run."""
    real, count = git_command.git, 0

    def git(*args: Any, **named: Any) -> str:
        nonlocal count
        count += 1
        if before and count == at:
            raise Killed
        said = real(*args, **named)
        if count == at:
            raise Killed
        return said

    yield git


@pytest.mark.parametrize(
    "before", [pytest.param(True, id="before", marks=pytest.mark.deep), pytest.param(False, id="after")]
)
def test_killed_before_or_after_any_git_command_and_run_again_there_is_one_commit_the_same_one(
    tmp_path: Path, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed, points = "", 0
    for at in range(60):
        remote = tmp_path / f"{at}.git"
        subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", "--template=", str(remote)], check=True)
        repository = client(remote, tmp_path / f"clone-{at}")
        killed = False
        with monkeypatch.context() as patch:
            if at:
                dying = next(killing(at, before=before))
                patch.setattr(common.git_client, "git", dying)
                patch.setattr(common.git_objects, "git", dying)
            try:
                repository.publish(promotion())
            except Killed:
                killed = True
        commit = client(remote, tmp_path / f"clone-{at}").publish(promotion()).commit
        undisturbed = undisturbed or commit
        assert (commit, log(remote)) == (undisturbed, ["promote"]), f"killed at command {at}"
        points += killed
        if at and not killed:
            break
    assert points > 8


def test_a_password_of_an_https_remote_is_seen_by_nobody_and_stands_in_no_commit(
    remote: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with git_server(tmp_path, "bot", PASSWORD, tmp_path / "clone") as server:
        url = f"http://127.0.0.1:{server.port}/remote.git"
        repository = client(url, tmp_path / "clone", username="bot", password=SecretStr(PASSWORD))
        repository.publish(promotion())
        repository.publish(promotion({"base/a.yaml": "a: 2\n"}, "second\n"))
        assert log(remote) == ["second", "promote"]
        seen = "\n".join(server.seen)
        everything = subprocess.run(
            ["git", "-C", str(remote), "cat-file", "--batch-all-objects", "--batch"], capture_output=True, check=True
        ).stdout.decode(errors="replace")
        for text in (seen, everything, caplog.text, url):
            assert PASSWORD not in text
            assert "Ym90OkNBTkFSWS" not in text, "base64 of it"
        with pytest.raises(AccessRefused) as refused:
            client(url, tmp_path / "other", username="bot", password=SecretStr("wrong-secret")).fetch()
        assert "wrong-secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["--upload-pack=touch {hit}", "ext::sh -c 'touch {hit}'", "ext::touch {hit}", "fd::3"])
def test_an_address_that_would_run_a_command_runs_none(tmp_path: Path, url: str) -> None:
    hit = tmp_path / "hit"
    address = url.format(hit=hit)
    with pytest.raises(ValidationError, match="deployments_url"):
        Git(deployments_url=address)
    unchecked = Git().model_copy(update={"deployments_url": address})
    with pytest.raises(MlopsError):
        GitRepository(unchecked, tmp_path / "clone").fetch()
    assert not hit.exists()


HOSTS = {
    "GitHub, a protected branch": (
        "error: GH006: Protected branch update failed for refs/heads/main.",
        "error: Changes must be made through a pull request.",
    ),
    "GitHub, a rule set": (
        "error: GH013: Repository rule violations found for refs/heads/main.",
        "- Commits must have verified signatures.",
    ),
    "GitLab": ("GitLab: You are not allowed to push code to protected branches on this project.",),
}  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_a_branch_that_is_ruled_off_is_told_in_the_hosts_own_words_at_once(
    host: str, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook, pushes = remote / "hooks" / "pre-receive", tmp_path / "pushes"
    hook.parent.mkdir(exist_ok=True)
    lines = "".join(f"echo '{line}' >&2\n" for line in HOSTS[host])
    hook.write_text(f"#!/bin/sh\necho x >> '{pushes}'\n{lines}exit 1\n")
    hook.chmod(0o755)
    with pytest.raises(AccessRefused) as raised:
        client(remote, tmp_path / "clone").publish(promotion())
    assert all(line.rstrip(".") in raised.value.message for line in HOSTS[host])
    assert "open no merge requests" in raised.value.hint
    assert pushes.read_text() == "x\n", "once: repeating it cannot help"


REJECTED = {
    "! [remote rejected] main -> main (push declined due to repository rule violations)": "merge requests",
    "fatal: unable to access 'https://git/': SSL certificate problem: unable to get local issuer certificate": "CAINFO",
    "fatal: unable to access 'https://git/': server certificate verification failed. CAfile: none": "CAINFO",
}


@pytest.mark.parametrize("printed", REJECTED)
def test_what_no_repetition_mends_is_final_and_has_a_hint_of_its_own(printed: str) -> None:
    error = CommandFailed("git push", 1, printed)
    assert retry.git.verdict(error) is Verdict.FINAL
    with pytest.raises(AccessRefused) as raised, in_our_words("The deployments repository", "https://git/", "git.x"):
        raise error
    assert REJECTED[printed] in raised.value.hint


def test_the_author_is_who_the_settings_say(remote: Path, tmp_path: Path) -> None:
    client(remote, tmp_path / "one").publish(promotion())
    named = {"author_name": "Ops Bot", "author_email": "bot@example.com"}
    client(remote, tmp_path / "two", **named).publish(promotion({"c": "1"}))
    assert log(remote, "--format=%an <%ae>|%cn <%ce>") == [
        "Ops Bot <bot@example.com>|Ops Bot <bot@example.com>",
        "MLOps pipeline <mlops@localhost>|MLOps pipeline <mlops@localhost>",
    ]
    with pytest.raises(ValidationError, match="author_name"):
        Git(author_name="Bot <bot@example.com>")
