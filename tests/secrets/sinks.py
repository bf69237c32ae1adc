"""Everything that outlives a run, as bytes with names: files and what is packed in them, git, databases, objects."""

import io
import os
import sqlite3
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

from common.settings import Minio, Postgres

Piece = tuple[str, bytes]
DEEPEST = 3
GZIP_OR_ZLIB = 32 + 15  # zlib's own number for: either header


def files(root: Path, but: Collection[Path] = ()) -> Iterator[Piece]:
    """Names and contents of every file below a directory, and what is packed in them."""
    for folder, _, names in os.walk(root):
        for path in (Path(folder) / name for name in names):
            yield f"name of {path}", str(path).encode()
            if path.is_symlink():
                yield f"link {path}", os.fsencode(path.readlink())
            elif path.is_file() and path not in but:
                with suppress(FileNotFoundError, PermissionError):  # gone meanwhile; or nobody may read it, we neither
                    yield from unpacked(str(path), path.read_bytes())


def unpacked(name: str, data: bytes, depth: int = 0) -> Iterator[Piece]:
    """The bytes, and what they hold where they are a gzip, zlib or zip stream, a parquet or a SQLite file."""
    yield name, data
    if depth < DEEPEST:
        for inner, content in _inside(data):
            yield from unpacked(f"{name}!{inner}", content, depth + 1)


def _inside(data: bytes) -> Iterator[Piece]:
    if data[:2] == b"\x1f\x8b" or (data[:1] == b"\x78" and data[1:2] in b"\x01\x5e\x9c\xda"):
        with suppress(zlib.error):
            yield "inflated", zlib.decompressobj(GZIP_OR_ZLIB).decompress(data)
    elif data[:4] == b"PK\x03\x04":
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield from ((name, archive.read(name)) for name in archive.namelist())
    elif data[:4] == b"PAR1":
        yield "rows", _parquet(data)
    elif data[:16] == b"SQLite format 3\0":
        with suppress(sqlite3.Error):
            yield "rows", _sqlite(data)


def _parquet(data: bytes) -> bytes:
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(data))
    return f"{table.schema.metadata} {table.to_pydict()}".encode()


def _sqlite(data: bytes) -> bytes:
    with tempfile.NamedTemporaryFile() as copy:
        Path(copy.name).write_bytes(data[:18] + b"\1\1" + data[20:])  # as if without WAL, which is a file of its own
        with closing(sqlite3.connect(copy.name)) as connection:
            connection.text_factory = bytes
            tables = [
                row[0].decode() for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
            ]
            return "\n".join(
                str(row) for name in tables for row in connection.execute(f'SELECT * FROM "{name}"')
            ).encode()


def git_objects(root: Path) -> Iterator[Piece]:
    """Every object of every repository below a directory, reachable or not."""
    for head in root.rglob("HEAD"):
        place = head.parent
        if (place / "objects").is_dir():
            command = ["git", "-C", str(place), "cat-file", "--batch-all-objects", "--batch"]
            env = {**os.environ, "GIT_DIR": str(place)}
            yield f"git objects of {place}", subprocess.run(command, capture_output=True, check=True, env=env).stdout


def databases(settings: Postgres) -> Iterator[Piece]:
    """Every row of every table of every database, and what the server shows of its sessions and roles."""
    for (name,) in _rows(settings, settings.database, "SELECT datname FROM pg_database WHERE datallowconn"):
        tables = (
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        for schema, table in _rows(settings, name, tables):
            query = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(schema, table))
            rows = _rows(settings, name, query)
            yield f"table {name}.{schema}.{table}", "\n".join(str(row[0]) for row in rows).encode()
    for view in ("pg_stat_activity", "pg_authid", "pg_description", "pg_proc", "pg_db_role_setting"):
        rows = _rows(settings, settings.database, f"SELECT t::text FROM {view} t")
        yield f"view {view}", "\n".join(str(row[0]) for row in rows).encode()


def _rows(settings: Postgres, database: str, query: Any) -> list[Any]:
    password = settings.password.get_secret_value()
    where = {"host": settings.host, "port": settings.port, "user": settings.user, "sslmode": settings.sslmode}
    with closing(psycopg2.connect(dbname=database, password=password, **where)) as session, session.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def objects(settings: Minio) -> Iterator[Piece]:
    """Of every object in every bucket: key, body and what is packed in it, metadata, tags."""
    from common.minio_client import ObjectStore

    client = ObjectStore(settings).client
    for bucket in client.list_buckets()["Buckets"]:
        name = bucket["Name"]
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
            for listed in page.get("Contents", []):
                at = {"Bucket": name, "Key": listed["Key"]}
                yield f"key s3://{name}/{listed['Key']}", listed["Key"].encode()
                answer = client.get_object(**at)
                yield f"metadata of s3://{name}/{listed['Key']}", str(answer["ResponseMetadata"]).encode()
                yield f"tags of s3://{name}/{listed['Key']}", str(client.get_object_tagging(**at)["TagSet"]).encode()
                yield from unpacked(f"s3://{name}/{listed['Key']}", answer["Body"].read())
