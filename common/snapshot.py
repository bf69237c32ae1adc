"""A snapshot of a source: extracted once, published under its content digest, kept locally for the next step.

The bytes of record are those of the object in S3. Two extracts of equal content (rows in another order, another
parquet writer) have one digest; the first one stored stays, so that its SHA-256 names the content for good.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from common.digest import sha256_of
from common.extract import Wanted
from common.extract import run as extract
from common.minio_client import ObjectStore
from common.paths import state_dir
from common.postgres import Postgres
from common.publish import settle
from common.stored import download_parquet


@dataclass(frozen=True)
class Snapshot:
    """Where a snapshot is (S3 and locally) and what it holds."""

    uri: str
    path: Path
    digest: str
    sha256: str
    rows: int
    size_bytes: int
    columns: tuple[tuple[str, str], ...]
    created: bool


def take(postgres: Postgres, store: ObjectStore, wanted: Wanted, latest_key: str) -> Snapshot:
    """Extract what is wanted to <latest_key without .parquet>/<digest>.parquet, and make `latest_key` a copy of it.

    Raises EmptyExtract and InvalidData before anything is published.
    """
    with tempfile.TemporaryDirectory(dir=_cache(), prefix=".tmp-") as directory:
        found = extract(postgres, wanted, Path(directory) / "snapshot.parquet")
        store.ensure_bucket()
        key = f"{latest_key.removesuffix('.parquet')}/{found.digest}.parquet"
        noted = {"digest": found.digest, "rows": str(found.rows)}
        stored = store.publish(key, found.path, noted)
        if stored.sha256 == found.sha256:
            settle(found.path, _cached(stored.uri))
    _point_latest(store, key, latest_key, stored.sha256)
    path = fetch(store, stored.uri, stored.sha256)
    return Snapshot(
        stored.uri, path, found.digest, stored.sha256, found.rows, stored.size_bytes, found.columns, stored.created
    )


def fetch(store: ObjectStore, uri: str, sha256: str) -> Path:
    """A local copy of an object, verified. Downloads only what is not there or not whole. Do not write to it."""
    path = _cached(uri)
    if not path.exists() or sha256_of(path) != sha256:
        download_parquet(store, uri, path, sha256)
    return path


def _point_latest(store: ObjectStore, key: str, latest_key: str, sha256: str) -> None:
    latest = store.head(latest_key)
    if latest is None or latest.sha256 != sha256:
        store.copy(key, latest_key)


def _cache() -> Path:
    path = state_dir() / "cache" / "snapshots"
    path.mkdir(parents=True, exist_ok=True)
    return path


def _cached(uri: str) -> Path:
    """By the last part of the URI, which is a digest."""
    return _cache() / uri.rsplit("/", 1)[1]
