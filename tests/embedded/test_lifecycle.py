"""Start, start again, stop: what a user sees, and that data outlive all of it."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from embedded.leftovers import MARK, SHIM_MARK
from tests.conftest import clean_environment
from tests.embedded.conftest import PAIR, Clone, new_clone


def processes_of(clone: Clone) -> list[psutil.Process]:
    """Everything alive that carries the clone's mark: shims, services, their children."""
    found = []
    for process in psutil.process_iter():
        try:
            marks = [process.environ().get(name, "") for name in (MARK, SHIM_MARK)]
            if any(mark.startswith(f"{clone.state}:") for mark in marks) and process.status() != "zombie":
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        yield taken


def test_first_up_starts_and_publishes_exactly_the_agreed_keys(pair: Clone) -> None:
    published = pair.addresses()

    assert {name: list(published[name]) for name in ("postgres", "minio")} == {
        "postgres": ["host", "port", "database", "user", "password_file"],
        "minio": ["endpoint", "access_key", "secret_key_file"],
    }
    assert published["postgres"]["host"] == "127.0.0.1"
    assert pair.query("SELECT count(*) FROM customers") == [(50_000,)]
    pair.put("/mlops/hello", b"there is a bucket to write to")
    pair.put("/mlflow/hello", b"and one for MLflow")


def test_second_up_finds_everything_running_and_starts_nothing(pair: Clone) -> None:
    before = {name: pair.record(name).pid for name in ("postgres", "minio")}

    said = pair.up()

    assert said.count("already up") == 2
    assert before == {name: pair.record(name).pid for name in ("postgres", "minio")}


def test_json_prints_the_addresses_and_nothing_else_on_stdout(pair: Clone) -> None:
    done = pair.embedded("up", *PAIR, "--json")

    assert json.loads(done.stdout) == pair.addresses()
    assert "postgres" in done.stderr


def test_status_shows_the_running_and_the_stopped(pair: Clone) -> None:
    rows = pair.status()
    table = pair.embedded("status").stdout

    assert (rows["postgres"]["state"], rows["mlflow"]["state"]) == ("healthy", "stopped")
    assert rows["minio"]["memory_mb"] > 10
    assert rows["minio"]["pid"] == pair.record("minio").pid
    assert pair.addresses()["minio"]["endpoint"] in table


def test_down_stops_everything_and_the_next_up_has_the_same_data_on_the_same_ports(pair: Clone) -> None:
    pair.query("CREATE TABLE kept AS SELECT 42 AS answer")
    pair.put("/mlops/kept", b"x" * 5000)
    before = pair.addresses()

    done = pair.embedded("down")

    assert done.returncode == 0
    assert done.stderr.count("stopped in") == 2
    assert processes_of(pair) == []
    assert "postgres" not in pair.addresses(), "an address without a service misleads"
    pair.up()
    assert pair.query("SELECT answer FROM kept") == [(42,)]
    assert pair.addresses() == before


def test_down_twice_is_no_error(clone: Clone) -> None:
    assert clone.embedded("down").returncode == 0
    assert "nothing was running" in clone.embedded("down").stderr


def test_taken_port_is_stepped_around_and_the_data_come_along(pair: Clone, listener: socket.socket) -> None:
    pair.put("/mlops/moved", b"y" * 5000)
    before = pair.addresses()
    pair.embedded("down")
    ports = {"postgres": before["postgres"]["port"], "minio": int(before["minio"]["endpoint"].rsplit(":", 1)[1])}
    listener.bind(("127.0.0.1", ports["postgres"]))
    listener.listen()
    with socket.socket() as third_of_ten:
        third_of_ten.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        third_of_ten.bind(("127.0.0.1", ports["minio"] + 2))
        third_of_ten.listen()
        pair.up()

    after = pair.addresses()
    assert after["postgres"]["port"] != ports["postgres"]
    assert after["minio"]["endpoint"] != before["minio"]["endpoint"]
    assert pair.query("SELECT count(*) FROM customers_latest") == [(20_000,)]
    assert object_size(pair, "moved") == 5000


def object_size(clone: Clone, key: str) -> int:
    import boto3
    from botocore.config import Config

    keys = clone.addresses()["minio"]
    client = boto3.client(
        "s3", endpoint_url=keys["endpoint"], aws_access_key_id=keys["access_key"], region_name="us-east-1",
        aws_secret_access_key=Path(keys["secret_key_file"]).read_text(),
        config=Config(s3={"addressing_style": "path"}, proxies={}),
    )  # fmt: skip
    return len(client.get_object(Bucket="mlops", Key=key)["Body"].read())


def test_two_clones_side_by_side_do_not_meet(pair: Clone) -> None:
    other = new_clone()
    try:
        other.up()
        other.query("DROP TABLE customers_latest")

        assert other.addresses()["postgres"]["port"] != pair.addresses()["postgres"]["port"]
        assert other.addresses()["minio"]["endpoint"] != pair.addresses()["minio"]["endpoint"]
        assert pair.query("SELECT count(*) FROM customers_latest") == [(20_000,)]
        other.embedded("down")
        assert pair.query("SELECT 1") == [(1,)], "stopping one clone must not stop the other"
    finally:
        other.stop_and_delete()


@pytest.mark.deep
def test_twenty_callers_at_once_start_each_service_once(clone: Clone) -> None:
    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda _: clone.embedded("up", *PAIR), range(20)))

    assert [one.returncode for one in done] == [0] * 20, [one.stderr for one in done if one.returncode]
    assert sum(one.stderr.count("up in") for one in done) == 2
    assert sum(one.stderr.count("already up") for one in done) == 38
    assert clone.query("SELECT count(*) FROM customers") == [(50_000,)]


@pytest.mark.parametrize("after_seconds", [pytest.param(0.7, marks=pytest.mark.deep), 1.5])
def test_up_killed_anywhere_leaves_nothing_that_the_next_cannot_take_over(clone: Clone, after_seconds: float) -> None:
    environment = clean_environment(MLOPS_STATE_DIR=str(clone.state))
    first = subprocess.Popen(
        [sys.executable, "-m", "embedded", "up", *PAIR], env=environment, stderr=subprocess.DEVNULL
    )
    time.sleep(after_seconds)
    first.send_signal(signal.SIGKILL)
    first.wait()

    clone.up()

    assert clone.query("SELECT count(*) FROM customers") == [(50_000,)]
    assert len(clone.query("SELECT 1 FROM pg_database WHERE datname IN ('mlops', 'mlflow')")) == 2


def test_only_what_the_settings_embed_is_started(clone: Clone) -> None:
    said = clone.up("--only", "postgres,git", MLOPS_POSTGRES__EMBEDDED="false", MLOPS_POSTGRES__HOST="db.example.com")

    assert "postgres    not embedded here: skipped" in said
    assert set(clone.addresses()) == {"dvc", "git"}


def test_unknown_name_is_a_usage_error_that_lists_the_known(clone: Clone) -> None:
    done = clone.embedded("up", "--only", "postgers")

    assert done.returncode == 2
    assert "'postgers'" in done.stderr
    assert "postgres, minio, mlflow, marquez, kubernetes, git" in done.stderr


def test_repositories_are_bare_and_on_branch_main(clone: Clone) -> None:
    clone.up("--only", "git")

    for url in (clone.addresses()["dvc"]["git_url"], clone.addresses()["git"]["deployments_url"]):
        seen = subprocess.run(["git", "ls-remote", "--symref", url, "HEAD"], capture_output=True, text=True, check=True)
        assert seen.stdout == "", "a new repository is empty"
        assert (Path(url.removeprefix("file://")) / "HEAD").read_text().strip() == "ref: refs/heads/main"
