"""The object store: whole or absent, created once, verified, and reached with our own keys only."""

import os
import subprocess
import sys
import threading
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from common.digest import sha256_of
from common.errors import AccessRefused, ConfigError, ExitCode, InvalidData, Unavailable
from common.minio_client import ObjectStore, Published
from common.minio_errors import CorruptedBody, NoSuchObject

from .faulty_wire import Once, Wire, closed_port, cut_after, flip_at, flip_every, wire


def changed(store: ObjectStore, **settings: object) -> ObjectStore:
    return ObjectStore(store.settings.model_copy(update=settings))


def through(store: ObjectStore, broken: Wire) -> ObjectStore:
    return changed(store, endpoint=f"http://127.0.0.1:{broken.port}")


def address(store: ObjectStore) -> tuple[str, int]:
    parts = urlsplit(store.settings.url)
    return str(parts.hostname), int(parts.port or 80)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.bin"
    path.write_bytes(os.urandom(300_000))
    return path


def test_what_is_put_comes_back(store: ObjectStore, file: Path, tmp_path: Path) -> None:
    assert store.put_bytes("a/bytes", b"\x00\xff") == f"s3://{store.bucket}/a/bytes"
    store.put_json("a/ä.json", {"b": [1, None, "ß"]})
    store.put_file("a/file", file)
    assert store.get_bytes("a/bytes") == b"\x00\xff"
    assert store.get_json("a/ä.json") == {"b": [1, None, "ß"]}
    assert store.download("a/file", tmp_path / "back").read_bytes() == file.read_bytes()
    assert [(each.key, each.size_bytes) for each in store.list("a/f")] == [("a/file", 300_000)]
    assert store.stat("a/file").sha256 == sha256_of(file)


def test_a_large_file_goes_in_parts_and_comes_back(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.minio_client.MULTIPART_BYTES", 10 << 20)
    large = tmp_path / "large"
    large.write_bytes(os.urandom(23 << 20))
    store.put_file("large", large)
    assert store.stat("large").etag.endswith("-3"), "parts of 8 MiB"
    back = store.download("large", tmp_path / "back")
    assert sha256_of(back) == sha256_of(large)


def test_absence_is_told(store: ObjectStore) -> None:
    assert store.head("nothing") is None
    assert not store.exists("nothing")
    with pytest.raises(NoSuchObject, match=f"no object nothing in bucket {store.bucket}"):
        store.get_bytes("nothing")
    store.delete("nothing")


def test_a_copy_keeps_bytes_and_metadata_and_what_is_deleted_is_gone(store: ObjectStore, file: Path) -> None:
    store.put_file("one", file)
    store.copy("one", "other")
    store.delete("one")
    assert not store.exists("one")
    assert store.stat("other").sha256 == sha256_of(file)


def test_publishing_twice_creates_once_and_the_first_bytes_stay(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"rows in one order")
    (tmp_path / "b").write_bytes(b"rows in the other order")
    first = store.publish("raw/digest", tmp_path / "a", {"rows": "2"})
    second = store.publish("raw/digest", tmp_path / "b")
    assert (first.created, second.created) == (True, False)
    assert second.sha256 == first.sha256 == sha256_of(tmp_path / "a"), "the stored object's, not the file's"
    assert store.stat("raw/digest").metadata["rows"] == "2"
    assert store.get_bytes("raw/digest") == b"rows in one order"


def test_what_was_noted_otherwise_is_written_again(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"rows")
    store.publish("raw/digest", tmp_path / "a")  # as an earlier version did, which noted no digest
    assert store.publish("raw/digest", tmp_path / "a", {"digest": "d"}).created
    assert store.stat("raw/digest").metadata["digest"] == "d"
    assert not store.publish("raw/digest", tmp_path / "a", {"digest": "d"}).created


def test_of_eight_publishers_at_once_exactly_one_creates(store: ObjectStore, tmp_path: Path) -> None:
    for turn in range(2):
        files = [tmp_path / f"{turn}-{place}" for place in range(8)]
        for place, path in enumerate(files):
            path.write_bytes(bytes([place]) * 1000)
        start = threading.Barrier(8)
        done: list[Published] = []

        def publish(
            path: Path, turn: int = turn, start: threading.Barrier = start, done: list[Published] = done
        ) -> None:
            start.wait()
            done.append(store.publish(f"race/{turn}", path))

        threads = [threading.Thread(target=publish, args=(path,)) for path in files]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [each.created for each in done].count(True) == 1
        assert len({each.sha256 for each in done}) == 1, "all were told of the same bytes"


@pytest.mark.parametrize("fault", [flip_at(200_000), cut_after(150_000)], ids=["a flipped bit", "a cut body"])
def test_a_body_that_arrives_broken_is_fetched_again(
    fault: object, store: ObjectStore, file: Path, tmp_path: Path
) -> None:
    store.put_file("file", file)
    once = Once(fault)  # type: ignore[arg-type]
    with wire(*address(store), once) as broken:
        back = through(store, broken).download("file", tmp_path / "back", sha256_of(file))
        assert through(store, broken).get_bytes("file") == file.read_bytes()
    assert once.times == 1
    assert back.read_bytes() == file.read_bytes()


def test_a_body_that_always_arrives_broken_is_refused_and_no_file_left(
    store: ObjectStore, file: Path, tmp_path: Path
) -> None:
    store.put_file("file", file)
    with (
        wire(*address(store), flip_every(100_000)) as broken,
        pytest.raises(CorruptedBody, match="arrived with SHA-256"),
    ):
        through(store, broken).download("file", tmp_path / "in" / "back")
    assert list((tmp_path / "in").iterdir()) == []


def test_a_download_is_held_against_the_callers_digest(store: ObjectStore, file: Path, tmp_path: Path) -> None:
    store.put_file("file", file)
    with pytest.raises(CorruptedBody):
        store.download("file", tmp_path / "back", sha256="0" * 64)
    assert not (tmp_path / "back").exists()


def test_an_upload_whose_answer_is_lost_finds_itself(store: ObjectStore, file: Path) -> None:
    lost = Once(cut_after(30))  # after "100 Continue" and before the answer
    with wire(*address(store), lost) as broken:
        client = through(store, broken)
        assert client._put("once", file, {"sha256": sha256_of(file)}, IfNoneMatch="*") is False
    assert lost.times == 1
    assert store.stat("once").sha256 == sha256_of(file)


def test_a_store_that_is_down_is_unavailable(store: ObjectStore) -> None:
    down = changed(store, endpoint=f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(Unavailable, match=f"S3 at {down.settings.url} does not answer") as raised:
        down.get_bytes("a")
    assert raised.value.exit_code == ExitCode.UNAVAILABLE


@pytest.mark.parametrize("wrong", [{"secret_key": SecretStr("hunter2")}, {"access_key": "nobody"}], ids=str)
def test_wrong_keys_are_refused_by_name_and_without_the_secret(wrong: dict[str, object], store: ObjectStore) -> None:
    with pytest.raises(AccessRefused, match=f"bucket {store.bucket} at {store.settings.url}") as raised:
        changed(store, **wrong).get_bytes("a")
    assert raised.value.exit_code == ExitCode.PERMISSION
    assert "hunter2" not in f"{raised.value.message} {raised.value.hint} {raised.value.__cause__}"


def clock_off_by(shift: timedelta) -> type[datetime]:
    class Off(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Off":
            return super().now(tz) + shift

    return Off


@pytest.mark.parametrize("shift", [timedelta(days=-1), timedelta(days=1)], ids=str)
def test_a_clock_that_is_far_off_is_the_reason_also_where_the_server_does_not_say_so(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, shift: timedelta
) -> None:
    nobody = changed(store, secret_key=SecretStr("hunter2"))
    monkeypatch.setattr("common.minio_errors.datetime", clock_off_by(shift))
    for ask in (nobody.get_bytes, nobody.stat):
        with pytest.raises(ConfigError, match=f"clocks of this machine and of {store.settings.url} differ too much"):
            ask("a")


def test_a_wrong_key_is_the_reason_where_the_clock_is_off_by_less_than_s3_minds(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.minio_errors.datetime", clock_off_by(timedelta(minutes=10)))
    with pytest.raises(AccessRefused):
        changed(store, secret_key=SecretStr("hunter2")).stat("a")


def test_a_missing_bucket_is_a_matter_of_configuration_and_can_be_made(store: ObjectStore) -> None:
    other = changed(store, bucket=f"{store.bucket}-b")
    with pytest.raises(ConfigError, match=f"no bucket {other.bucket} at"):
        other.put_bytes("a", b"")
    other.ensure_bucket()
    other.ensure_bucket()
    other.probe_write()
    assert list(other.list("")) == [], "the probe left nothing"
    other.client.delete_bucket(Bucket=other.bucket)


def test_the_users_own_aws_setup_is_not_seen(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[profile work]\nregion = eu-west-1\n")
    foreign = {"HOME": str(tmp_path), "AWS_PROFILE": "absent", "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
               "AWS_ACCESS_KEY_ID": "theirs", "AWS_SECRET_ACCESS_KEY": "theirs", "AWS_REGION": "mars"}  # fmt: skip
    for name, value in foreign.items():
        monkeypatch.setenv(name, value)
    assert ObjectStore(store.settings).ping()


def test_children_and_arrow_reach_the_same_store(store: ObjectStore) -> None:
    store.put_bytes("dir/a", b"same")
    code = f"import boto3; print(boto3.client('s3').get_object(Bucket='{store.bucket}', Key='dir/a')['Body'].read())"
    env = {"PATH": os.environ["PATH"], **store.environment()}
    child = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert child.stdout.strip() == "b'same'", child.stderr
    assert store.filesystem().open_input_stream(f"{store.bucket}/dir/a").read() == b"same"


@pytest.mark.parametrize("key", ["", "/a", "../a", "a/../b", "a/./b", "a\nb", "a\x00", "x" * 2000])
def test_keys_that_climb_or_confuse_are_refused(key: str, store: ObjectStore) -> None:
    with pytest.raises(InvalidData, match="is no usable object name"):
        store.put_bytes(key, b"")


@pytest.mark.parametrize("uri", ["s3://other/a", "http://{b}/a", "s3://u:p@{b}/a", "s3://{b}/", "s3://{b}/../a", "a"])
def test_only_uris_of_our_bucket_have_a_key(uri: str, store: ObjectStore) -> None:
    with pytest.raises(InvalidData):
        store.key(uri.replace("{b}", store.bucket))
    assert store.key(store.uri("a/b c?.json")) == "a/b c?.json"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("endpoint", "minio_server:9000"), ("endpoint", "http://:9000"), ("endpoint", "http://[::1"),
        ("endpoint", "localhost:ninety"), ("endpoint", "localhost:99999"), ("endpoint", "ftp://localhost"),
        ("region", "no region!"),
    ],
)  # fmt: skip
def test_an_endpoint_that_no_client_can_be_made_for_is_a_matter_of_configuration(
    store: ObjectStore, setting: str, value: str
) -> None:
    with pytest.raises(ConfigError, match=r"minio\.endpoint") as raised:
        changed(store, **{setting: value}).head("any")
    assert value in raised.value.message
    assert raised.value.exit_code is ExitCode.CONFIG


def test_a_password_in_a_malformed_endpoint_is_not_told(store: ObjectStore) -> None:
    with pytest.raises(ConfigError) as raised:
        changed(store, endpoint="http://user:hunter2@minio_server:9000").head("any")
    assert "hunter2" not in f"{raised.value.message}{raised.value.__cause__}"
    assert "minio_server:9000" in raised.value.message
