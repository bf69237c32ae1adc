"""Any text that reaches git, or another command, is an argument or is refused; nothing of it is carried out."""

import json
import posixpath
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from common import names, uris
from common.errors import MlopsError
from common.git_client import Change, GitRepository
from common.git_command import author, git
from common.git_objects import commit_tree, tree_with
from common.names import BadName
from common.process import run_command
from common.settings import Git
from tests.injection.corpora import ALL, GIT, HOMOGLYPHS, MARKER, PATHS, SHELL, YAML

PRINT = "import json, sys; print(json.dumps(sys.argv[1:]))"
WORDS = tuple(text for text in ALL if "\0" not in text and "\ud800" not in text)


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory that we stand in, and in which no MARKER may appear."""
    where = tmp_path / "here"
    where.mkdir()
    monkeypatch.chdir(where)
    yield where
    assert not list(tmp_path.rglob(MARKER)), "a text was carried out"


def test_every_text_arrives_as_it_is(empty: Path) -> None:
    arrived = run_command([sys.executable, "-c", PRINT, *WORDS], deadline_seconds=60, cwd=empty)
    assert json.loads(arrived) == list(WORDS)


@pytest.mark.deep
@pytest.mark.parametrize("text", [*GIT, *SHELL, *PATHS])
def test_no_address_of_a_corpus_makes_git_run_anything(text: str, empty: Path) -> None:
    """By way of the client, whether or not the setting would have taken it."""
    section = Git.model_construct(**{**Git().model_dump(), "deployments_url": text, "password": Git().password})
    try:
        found = GitRepository(section, empty / "clones").fetch()
    except (MlopsError, ValueError):
        return
    assert (text, found) == (".", ""), "only our own empty clone is a repository here"


@pytest.mark.parametrize("text", GIT)
def test_an_address_or_a_branch_that_git_could_take_for_more_is_refused(text: str, empty: Path) -> None:
    with pytest.raises(BadName):
        names.commit(text)
    try:
        names.branch(text)
    except BadName:
        pass
    else:
        assert git(empty, "check-ref-format", "--branch", text).strip() == text
    if text.startswith("-") or "::" in text or "\n" in text or "\0" in text or not text:
        with pytest.raises(BadName):
            uris.git_url(text)


FILES = [text for text in (*SHELL, *YAML, *GIT) if text and not set(text) & set("/\0") and text not in (".", "..")]


@pytest.mark.parametrize("part", range(4))
def test_files_and_messages_of_any_name_are_committed_as_they_are(part: int, empty: Path) -> None:
    git(empty, "init", "--quiet", "--bare")
    texts = [text for text in FILES[part::4] if len(text.encode()) < 255]
    tree = tree_with(empty, "", {text: text for text in texts})
    listed = git(empty, "ls-tree", "-z", "--name-only", tree).split("\0")[:-1]
    assert sorted(listed) == sorted(set(texts))
    message = "subject\n\n" + "\n".join(text for text in texts if names.LINE.fullmatch(text))
    commit = commit_tree(empty, tree, "", message, author(Git(), datetime(2026, 1, 1, tzinfo=UTC)))
    assert git(empty, "cat-file", "commit", commit).partition("\n\n")[2] == message


def test_a_commit_with_any_content_is_pushed_and_read_back(tmp_path: Path, empty: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "remote.git")
    repository = GitRepository(Git(deployments_url=str(tmp_path / "remote.git")), empty)
    files = {f"overlays/x/{number}.yaml": text for number, text in enumerate(WORDS[::5])}
    head = repository.publish(lambda base: Change(files, "all of them\n", datetime(2026, 1, 1, tzinfo=UTC))).commit
    for path, text in list(files.items())[::4]:
        assert repository.read(head, path) == text


def test_a_path_that_climbs_or_looks_like_another_is_no_name_and_leads_nowhere_else() -> None:
    for text in (*PATHS, *HOMOGLYPHS):
        with pytest.raises(BadName):
            names.dns_label(text)
        if text != "MODELS":
            with pytest.raises(BadName):
                uris.model_uri(f"s3://mlops/{text}/{'a' * 64}", "a" * 64, ("s3",), ("mlops",))
        try:
            found = uris.s3_uri(f"s3://mlops/{text}", {"mlops"})
        except BadName:
            continue
        assert posixpath.normpath(found.key) == found.key == urlsplit(str(found)).path[1:]
