"""The search for secrets finds what is planted: in every sink, in every encoding. Else its silence proves nothing."""

import gzip
import io
import json
import sqlite3
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common.minio_client import ObjectStore
from common.postgres import Postgres
from common.settings import Settings
from tests.floor.conftest import wait_for
from tests.secrets import sinks
from tests.secrets.canaries import AWKWARD, canary, encodings, search
from tests.secrets.command_lines import CommandLines

SECRET = canary("planted")
TEXT = SECRET.value


def found(pieces: Iterator[tuple[str, bytes]]) -> set[str]:
    return {hit.whose for hit in search(pieces, [SECRET])}


@pytest.mark.parametrize("encoding", encodings(TEXT))
def test_every_encoding_is_found_wherever_it_stands_and_named(encoding: str) -> None:
    for before in (b"", b"x" * 61, b"\0" * 4096):
        (hit,) = list(search([("noise", before + encodings(TEXT)[encoding] + b"\nend")], [SECRET]))[:1]
        assert hit.whose == SECRET.name


def test_half_a_secret_is_found_and_no_other_noise() -> None:
    first, second = TEXT.split(AWKWARD)
    assert [hit.encoding for hit in search([("host", f"//ss{second}".encode())], [SECRET])] == ["half of it"]
    assert found(iter([("host", first.upper().encode())])) == {SECRET.name}
    assert not found(iter([("noise", bytes(range(256)) * 4096)]))


def parquet(path: Path) -> None:
    pq.write_table(pa.table({"note": [TEXT]}), path, compression="zstd")


def parquet_metadata(path: Path) -> None:
    pq.write_table(pa.table({"note": [1]}).replace_schema_metadata({"by": TEXT}), path, compression="zstd")


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.txt", TEXT)


def zipped_in_gzip(path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.txt", TEXT)
    path.write_bytes(gzip.compress(inner.getvalue()))


def deleted_row(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("CREATE TABLE t (x TEXT)")
        connection.execute("INSERT INTO t VALUES (?)", (TEXT,))
        connection.commit()
        connection.execute("DELETE FROM t")
        connection.commit()


def plain(path: Path) -> None:
    path.write_text(f"password={TEXT}")


def gzipped(path: Path) -> None:
    path.write_bytes(gzip.compress(TEXT.encode()))


FILES: tuple[Callable[[Path], None], ...] = (
    plain, gzipped, parquet, parquet_metadata, zipped, zipped_in_gzip, deleted_row,
)  # fmt: skip


@pytest.mark.parametrize("plant", FILES)
def test_it_is_found_in_a_file_of_every_kind(plant: Callable[[Path], None], tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "a run"
    folder.mkdir(parents=True)
    plant(folder / "file")
    assert found(sinks.files(tmp_path)) == {SECRET.name}
    assert not found(sinks.files(tmp_path, but=[folder / "file"]))


def test_it_is_found_in_a_files_name_and_in_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(TEXT.split("/")[0])
    assert found(sinks.files(tmp_path)) == {SECRET.name}
    (tmp_path / "link").unlink()
    (tmp_path / TEXT.replace("/", "_")).touch()
    assert found(sinks.files(tmp_path)) == {SECRET.name}


@pytest.mark.parametrize("packed", [False, True])
def test_it_is_found_in_git_even_where_no_branch_leads(tmp_path: Path, packed: bool) -> None:
    def git(*args: str, given: str = "") -> str:
        command = ["git", "-C", str(tmp_path / "r"), *args]
        return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout.strip()

    (tmp_path / "r").mkdir()
    git("init", "--quiet", "--bare")
    blob = git("hash-object", "-w", "--stdin", given=f"url = http://bot:{TEXT}@host\n")
    if packed:
        git("pack-objects", "--quiet", str(tmp_path / "r" / "objects" / "pack" / "pack"), given=blob)
        git("prune-packed")
    assert found(sinks.git_objects(tmp_path)) == {SECRET.name}


def test_it_is_found_in_every_database_of_the_server(settings: Settings) -> None:
    planted = f"planted_{uuid.uuid4().hex[:8]}"
    with Postgres(settings.postgres).engine.begin() as connection:
        for type_ in ("text", "jsonb", "bytea"):
            value = {"text": TEXT, "jsonb": f'{{"a": [{json.dumps(TEXT)}]}}', "bytea": TEXT.encode()}[type_]
            connection.exec_driver_sql(f"CREATE TABLE {planted}_{type_} (x {type_})")
            connection.exec_driver_sql(f"INSERT INTO {planted}_{type_} VALUES (%s)", (value,))
    try:
        hits = {hit.sink for hit in search(sinks.databases(settings.postgres), [SECRET])}
        assert {f"table mlops.public.{planted}_{type_}" for type_ in ("text", "jsonb", "bytea")} <= hits
    finally:
        with Postgres(settings.postgres).engine.begin() as connection:
            for type_ in ("text", "jsonb", "bytea"):
                connection.exec_driver_sql(f"DROP TABLE {planted}_{type_}")


def test_it_is_found_in_the_body_the_metadata_the_tags_and_the_key_of_an_object(settings: Settings) -> None:
    store, prefix = ObjectStore(settings.minio), f"planted-{uuid.uuid4().hex[:8]}"
    half = TEXT.split(AWKWARD)[0]
    at = {"Bucket": store.bucket}
    store.client.put_object(**at, Key=f"{prefix}/body", Body=gzip.compress(TEXT.encode()))
    store.client.put_object(**at, Key=f"{prefix}/metadata", Body=b"", Metadata={"by": half})
    store.client.put_object(**at, Key=f"{prefix}/tags", Body=b"", Tagging=f"by={half}")
    store.client.put_object(**at, Key=f"{prefix}/{half}", Body=b"")
    keys = [f"{prefix}/{name}" for name in ("body", "metadata", "tags", half)]
    try:
        hits = {hit.sink for hit in search(sinks.objects(settings.minio), [SECRET])}
    finally:
        for key in keys:
            store.client.delete_object(**at, Key=key)
    place = f"s3://{store.bucket}/{prefix}"
    assert {f"{place}/body!inflated", f"metadata of {place}/metadata", f"tags of {place}/tags"} <= hits
    assert f"key {place}/{half}" in hits


def test_it_is_found_in_the_command_line_of_a_process_that_lives_for_a_moment() -> None:
    lines = CommandLines()
    with lines.watched():
        assert wait_for(lambda: lines.looks > 0)
        command = [sys.executable, "-c", "import time; time.sleep(0.2)", f"--password={TEXT}"]
        assert wait_for(lambda: not subprocess.run(command, check=True).returncode and bool(found(lines.pieces())))
    assert found(lines.pieces()) == {SECRET.name}
