"""The data repository: one commit for one content, whatever kills, races or surroundings do meanwhile."""

import datetime as dt
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml
from pydantic import SecretStr

from common.dvc_client import Commit, DataRepository
from common.errors import AccessRefused, ConfigError
from common.git_command import address, credentials, git
from common.settings import Settings

from .conftest import own_bucket, with_repository
from .git_server import git_server

NAME = "raw/customers.parquet"
DATE = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
TRAILERS = {"Data-Digest": "d1", "Rows": "3", "Idempotency-Key": "k1"}


@pytest.fixture
def repository(own_settings: Settings, tmp_path: Path) -> DataRepository:
    return DataRepository(own_settings, tmp_path / "dvc")


@pytest.fixture
def origin(repository: DataRepository) -> Path:
    return Path(repository.url.removeprefix("file://"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "snapshot"
    path.write_bytes(b"rows" * 10_000)
    return path


def other(file: Path, data: bytes = b"other rows") -> Path:
    path = file.with_name(f"{file.name}-{len(data)}")
    path.write_bytes(data)
    return path


def commit(repository: DataRepository, file: Path, name: str = NAME) -> Commit:
    return repository.commit(file, name, message="Version it", trailers=TRAILERS, date=DATE)


def history(origin: Path) -> list[str]:
    return git(origin, "rev-list", "--all").split()


def test_the_same_data_make_one_commit_and_changed_data_a_second(
    repository: DataRepository, origin: Path, file: Path
) -> None:
    first = commit(repository, file)
    again = commit(repository, file)
    assert (first.created, again.created, again.commit) == (True, False, first.commit)
    changed = commit(repository, other(file))
    assert (changed.created, changed.md5 != first.md5) == (True, True)
    assert history(origin) == [changed.commit, first.commit]
    assert repository.state(NAME) == {"md5": changed.md5, "stored": True}


def test_the_commit_of_a_content_is_found_by_its_digest_also_when_it_is_not_the_newest(
    repository: DataRepository, file: Path
) -> None:
    assert repository.commit_of("d1") == ""
    first = commit(repository, file)
    trailers = {**TRAILERS, "Data-Digest": "e2"}
    newest = repository.commit(other(file), NAME, message="Another", trailers=trailers, date=DATE)
    assert [repository.commit_of(each) for each in ("d1", "e2", "f3")] == [first.commit, newest.commit, ""]


@dataclass(frozen=True)
class Made:
    """One commit that several tests look at, and none changes."""

    repository: DataRepository
    origin: Path
    file: Path
    commit: Commit


@pytest.fixture(scope="module")
def made(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    where = tmp_path_factory.mktemp("made")
    file = where / "snapshot"
    file.write_bytes(b"rows" * 10_000)
    with own_bucket(settings) as store:
        repository = DataRepository(with_repository(settings, store, where), where / "dvc")
        yield Made(repository, where / "origin.git", file, commit(repository, file))


def test_the_commit_says_what_it_is(made: Made) -> None:
    shown = git(made.origin, "show", "--no-patch", "--format=%an <%ae>|%aI|%cI|%s|%(trailers:only,unfold)", "HEAD")
    who, when, recorded, subject, trailers = shown.strip().split("|")
    assert (who, when, recorded) == ("MLOps pipeline <mlops@localhost>", *["2026-01-02T03:04:05+00:00"] * 2)
    assert (subject, trailers.split()[1::2]) == ("Version it", list(TRAILERS.values()))


def test_the_commit_depends_on_nothing_but_the_data(made: Made, tmp_path: Path) -> None:
    elsewhere = with_repository(made.repository.settings, made.repository.store, tmp_path)
    again = commit(DataRepository(elsewhere, tmp_path / "dvc"), made.file)
    assert again.commit == made.commit.commit, "another time, another place, the same commit"


def test_somebody_else_clones_and_pulls(made: Made, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", made.repository.url, "theirs")
    theirs = tmp_path / "theirs"
    private = {"HOME": str(tmp_path), "DVC_SITE_CACHE_DIR": str(tmp_path / "site"), "DVC_NO_ANALYTICS": "1"}
    env = {"PATH": os.environ["PATH"], **private, **made.repository.store.environment()}
    subprocess.run([sys.executable, "-m", "dvc", "pull", "-q"], cwd=theirs, env=env, check=True, timeout=120)
    assert (theirs / NAME).read_bytes() == made.file.read_bytes()


def test_no_secret_and_no_address_of_this_machine_is_committed(made: Made) -> None:
    everything = git(made.origin, "log", "--patch", "--format=fuller")
    store = made.repository.store
    for hidden in (store.settings.secret_key.get_secret_value(), store.settings.url, str(made.repository.path)):
        assert hidden not in everything


def test_the_snapshot_stays_where_it_was_and_no_clone_is_left(made: Made) -> None:
    assert made.file.read_bytes() == b"rows" * 10_000
    assert list(made.repository.path.iterdir()) == []


def test_an_object_lost_from_the_store_is_noticed_and_pushed_again(
    repository: DataRepository, origin: Path, file: Path
) -> None:
    made = commit(repository, file)
    (stored,) = [each.key for each in repository.store.list("dvc/")]
    repository.store.delete(stored)
    assert repository.state(NAME) == {"md5": made.md5, "stored": False}
    assert commit(repository, file).created is False
    assert repository.store.exists(stored)
    assert history(origin) == [made.commit]


@pytest.mark.deep
def test_two_who_commit_at_once_both_get_in(repository: DataRepository, origin: Path, file: Path) -> None:
    def commit_one(place: int) -> None:
        own = DataRepository(repository.settings, repository.path / str(place))
        commit(own, other(file, b"x" * (place + 1)), f"raw/{place}")

    threads = [threading.Thread(target=commit_one, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(history(origin)) == 2
    assert repository.state("raw/0")["stored"]
    assert repository.state("raw/1")["stored"]


RUN_ALONE = """
import datetime as dt, sys
from pathlib import Path
from pydantic import SecretStr
from common.config import load_settings
from common.dvc_client import DataRepository
url, bucket, path, file = sys.argv[1:]
settings = load_settings()
dvc = settings.dvc.model_copy(update={"git_url": url})
settings = settings.model_copy(update={"dvc": dvc, "minio": settings.minio.model_copy(update={"bucket": bucket})})
date = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
trailers = {"Data-Digest": "d1", "Rows": "3", "Idempotency-Key": "k1"}
DataRepository(settings, Path(path)).commit(
    Path(file), "raw/customers.parquet", message="Version it", trailers=trailers, date=date)
"""


@pytest.mark.parametrize(
    "seconds", [0.8, 1.6, *(pytest.param(each, marks=pytest.mark.deep) for each in (0.4, 1.2, 2.0, 2.4, 3.0, 4.0))]
)
def test_killed_in_the_middle_and_run_again_it_ends_as_if_undisturbed(
    seconds: float, repository: DataRepository, origin: Path, file: Path
) -> None:
    args = [repository.url, repository.store.bucket, str(repository.path), str(file)]
    child = subprocess.Popen(
        [sys.executable, "-c", RUN_ALONE, *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(seconds)
    kill_tree(child)
    done = commit(repository, file)
    assert history(origin) == [done.commit]
    assert git(origin, "ls-tree", "-r", "--name-only", "HEAD").split() == [
        ".dvc/.gitignore", ".dvc/config", "raw/.gitignore", f"{NAME}.dvc",
    ]  # fmt: skip
    pointer = yaml.safe_load(git(origin, "show", f"HEAD:{NAME}.dvc"))
    assert pointer["outs"][0]["md5"] == done.md5
    assert [each.size_bytes for each in repository.store.list("dvc/")] == [file.stat().st_size]
    assert list(repository.path.iterdir()) == []


def kill_tree(child: subprocess.Popen[bytes]) -> None:
    try:
        tree = [*psutil.Process(child.pid).children(recursive=True), psutil.Process(child.pid)]
    except psutil.NoSuchProcess:
        tree = []
    for process in tree:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    child.wait()


def test_the_users_git_and_dvc_setup_is_not_seen(
    repository: DataRepository, origin: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".config" / "dvc").mkdir(parents=True)
    (home / ".config" / "dvc" / "config").write_text("[core]\n    remote = theirs\n    no_scm = true\n")
    (home / ".gitconfig").write_text("[commit]\n gpgSign = true\n[user]\n name = Them\n")
    for name, value in {"HOME": str(home), "GIT_DIR": "/nowhere", "GIT_AUTHOR_NAME": "Them", "AWS_PROFILE": "theirs",
                        "XDG_CONFIG_HOME": str(home / ".config")}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    commit(repository, file)
    assert "MLOps pipeline" in git(origin, "log", "-1", "--format=%an")
    assert sorted(path.name for path in home.iterdir()) == [".config", ".gitconfig"], "nothing was written there"


def test_a_repository_that_is_not_there_is_a_matter_of_configuration(
    repository: DataRepository, file: Path, tmp_path: Path
) -> None:
    repository.url = f"file://user:hunter2@{tmp_path}/none.git"
    with pytest.raises(ConfigError, match="no git repository at") as raised:
        commit(repository, file)
    assert "hunter2" not in raised.value.message
    repository.url = ""
    with pytest.raises(ConfigError, match=r"dvc.git_url is empty"):
        repository.state(NAME)


def test_ping_and_the_write_probe_change_nothing(repository: DataRepository, origin: Path, tmp_path: Path) -> None:
    assert repository.ping().startswith("DVC 3.")
    repository.probe_write()
    assert history(origin) == []
    (origin / "HEAD").unlink()
    for look in (repository.ping, repository.probe_write):
        with pytest.raises(ConfigError, match="no git repository at"):
            look()


def test_whoever_looks_leaves_a_clone_that_somebody_works_in_and_sweeps_what_a_killed_run_left(
    repository: DataRepository, origin: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository.path / "work-left" / "data").mkdir(parents=True)
    beside, really = DataRepository(repository.settings, repository.path), repository._push_data

    def looked_at_meanwhile(clone: Path, name: str, md5: str) -> None:
        beside.ping()
        beside.probe_write()
        assert [path.name for path in repository.path.iterdir()] == [clone.parent.name]
        really(clone, name, md5)

    monkeypatch.setattr(repository, "_push_data", looked_at_meanwhile)
    made = commit(repository, file)
    assert history(origin) == [made.commit]
    assert list(repository.path.iterdir()) == []


def test_a_store_that_refuses_leaves_no_commit(repository: DataRepository, origin: Path, file: Path) -> None:
    wrong = repository.store.settings.model_copy(update={"secret_key": SecretStr("wrong")})
    settings = repository.settings.model_copy(update={"minio": wrong})
    with pytest.raises(AccessRefused, match="S3 refused"):
        commit(DataRepository(settings, repository.path), file)
    assert history(origin) == []


def test_the_password_of_the_url_is_used_and_shown_to_nobody(
    repository: DataRepository, origin: Path, file: Path
) -> None:
    with git_server(origin.parent, "us@er", "canary/17", repository.path) as server:
        repository.url = f"http://us%40er:canary%2F17@127.0.0.1:{server.port}/origin.git"
        made = commit(repository, file)
        assert commit(repository, file).created is False
        repository.probe_write()
        assert (history(origin), server.pushes) == ([made.commit], 1)
    assert any("remote-http" in each and "/origin.git" in each for each in server.seen), "commands were looked at"
    assert any('[remote "origin"]' in each for each in server.seen), "files were looked at"
    secrets = ("canary", server.wanted.removeprefix("Basic "))
    assert not [each for each in server.seen if any(secret in each for secret in secrets)]


@pytest.mark.parametrize("section", ["dvc", "git"])
def test_the_settings_credentials_open_the_data_repository_those_of_git_on_the_same_host_only(
    repository: DataRepository, origin: Path, section: str
) -> None:
    with git_server(origin.parent, "user", "canary17", repository.path) as server:
        host = f"http://127.0.0.1:{server.port}"
        known = {"username": "user", "password": SecretStr("canary17")}
        git_url, deployments = f"{host}/origin.git", f"{host}/deployments.git"
        given = {"dvc": {"git_url": git_url}, "git": {"deployments_url": deployments}}
        given[section] |= known
        sections = {name: getattr(repository.settings, name).model_copy(update=each) for name, each in given.items()}
        DataRepository(repository.settings.model_copy(update=sections), repository.path).probe_write()
        elsewhere = sections["git"].model_copy(update={"deployments_url": "http://git.example.com/deployments.git"})
        apart = DataRepository(repository.settings.model_copy(update={**sections, "git": elsewhere}), repository.path)
        if section == "dvc":
            apart.probe_write()
        else:
            with pytest.raises(AccessRefused):
                apart.probe_write()


def test_a_refused_password_is_not_told(repository: DataRepository, origin: Path, file: Path) -> None:
    with git_server(origin.parent, "user", "right", repository.path) as server:
        repository.url = f"http://user:canary17@127.0.0.1:{server.port}/origin.git"
        with pytest.raises(AccessRefused) as raised:
            commit(repository, file)
    told = "".join(traceback.format_exception(raised.value)) + raised.value.hint
    assert "canary17" not in told
    assert f"127.0.0.1:{server.port}/origin.git" in told


def test_what_git_is_given_keeps_an_ssh_user_and_loses_every_password() -> None:
    urls = ("ssh://git@host/a.git", "ssh://git:pw@host/a.git", "git@host:a.git", "https://u:pw@host:8/a.git")
    assert [address(url) for url in urls] == [
        "ssh://git@host/a.git", "ssh://git@host/a.git", "git@host:a.git", "https://host:8/a.git",
    ]  # fmt: skip
    assert [bool(credentials(url)) for url in urls] == [False, False, False, True]
    assert credentials("https://u@host/a.git")["GIT_CONFIG_VALUE_0"] == "u"
