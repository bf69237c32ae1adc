"""S3: what snapshots, models and logs stand on, on the embedded server and on a real one."""

import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from common.errors import AccessRefused, InvalidData
from common.minio_client import MULTIPART_BYTES, ObjectStore
from common.minio_errors import NoSuchObject


def test_what_is_written_comes_back_whole_with_its_metadata(bucket: ObjectStore) -> None:
    name = "odd names/ä +&=%20.json"
    assert bucket.put_json(name, {"a": 1}) == f"s3://{bucket.bucket}/{name}"
    assert bucket.get_json(name) == {"a": 1}
    assert len(bucket.stat(name).sha256) == 64
    assert [each.key for each in bucket.list("odd")] == [name]


def test_what_is_not_there_is_none_and_reading_or_deleting_it_is_told(bucket: ObjectStore) -> None:
    assert bucket.head("nothing") is None
    with pytest.raises(NoSuchObject):
        bucket.get_bytes("nothing")
    bucket.delete("nothing")


def test_of_many_writers_exactly_one_creates_and_the_others_find_it(bucket: ObjectStore, tmp_path: Path) -> None:
    path, made = tmp_path / "file", []
    path.write_bytes(b"x" * 5000)
    writers = [threading.Thread(target=lambda: made.append(bucket.publish("one", path))) for _ in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [each.created for each in made].count(True) == 1
    assert len({each.sha256 for each in made}) == 1


def test_a_large_file_goes_in_parts_and_arrives_as_it_was(bucket: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(MULTIPART_BYTES + 1)
    bucket.put_file("large", path)
    assert bucket.download("large", tmp_path / "back").stat().st_size == MULTIPART_BYTES + 1


def test_listing_goes_on_behind_a_key_past_a_page(bucket: ObjectStore) -> None:
    for number in range(12):
        bucket.put_bytes(f"log/{number:04}", b"x")
    assert [each.key for each in bucket.list("log/", after="log/0008")] == ["log/0009", "log/0010", "log/0011"]


def test_a_copy_on_the_server_keeps_the_digest(bucket: ObjectStore) -> None:
    bucket.put_bytes("a", b"content")
    bucket.copy("a", "b")
    assert bucket.stat("b").sha256 == bucket.stat("a").sha256


def test_keys_that_climb_are_refused_before_the_server_sees_them(bucket: ObjectStore) -> None:
    for key in ("../other", "a/../b", "/a", ""):
        with pytest.raises(InvalidData):
            bucket.put_bytes(key, b"x")


def test_other_libraries_reach_the_same_store(bucket: ObjectStore) -> None:
    bucket.put_bytes("for/arrow", b"12345")
    assert bucket.filesystem().open_input_stream(f"{bucket.bucket}/for/arrow").read() == b"12345"


def test_wrong_keys_are_refused_and_not_told(bucket: ObjectStore) -> None:
    wrong = bucket.settings.model_copy(update={"secret_key": SecretStr("CANARY-wrong")})
    with pytest.raises(AccessRefused) as refused:
        ObjectStore(wrong).put_bytes("x", b"x")
    assert "CANARY" not in f"{refused.value} {refused.value.hint}"
