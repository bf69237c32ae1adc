"""Object storage over S3 (MinIO, AWS, Ceph, SeaweedFS): content-addressed, verified, with deadlines.

Objects that matter are created once, under a name that holds their digest. A body is verified by its SHA-256, and
fetched anew when it is broken.
"""

import hashlib
import json
import mimetypes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from common.digest import sha256_of
from common.errors import InvalidData, StepFailed
from common.logger import get_logger
from common.minio_connection import StoreConnection
from common.minio_errors import AlreadyThere, CorruptedBody, MissingBucketError, NoSuchObject
from common.publish import whole_file

log = get_logger(__name__)

MULTIPART_BYTES = 64 << 20
# Small and few at once: a server on a slow disk hangs up on a part that takes 10 seconds.
PART_BYTES, PARTS_AT_ONCE = 8 << 20, 4
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Object:
    """What is known of an object without reading it. Listings leave `metadata` empty."""

    key: str
    size_bytes: int
    etag: str
    modified: datetime
    metadata: Mapping[str, str]

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes, where whoever wrote it (this client does) noted it; else empty."""
        return self.metadata.get("sha256", "")


@dataclass(frozen=True)
class Published:
    """An object of a content-addressed name. `sha256` is the stored one's, also where it was there before."""

    uri: str
    key: str
    sha256: str
    size_bytes: int
    created: bool


class ObjectStore(StoreConnection):
    """The project's bucket, to look into, to write and to read."""

    # Looking

    def head(self, key: str) -> Object | None:
        """What is known of an object; None when there is none."""
        try:
            return self.stat(key)
        except NoSuchObject:
            return None

    def stat(self, key: str) -> Object:
        """What is known of an object. Raises NoSuchObject."""
        found = self._call("head_object", Key=key)
        return _object(key, found["ContentLength"], found)

    def exists(self, key: str) -> bool:
        """True when there is such an object."""
        return self.head(key) is not None

    def list(self, prefix: str, after: str = "") -> Iterator[Object]:
        """Every object whose key starts with `prefix`, from behind the key `after` on, in the server's order."""
        page: dict[str, Any] = {"IsTruncated": True}
        token = {"StartAfter": after} if after else {}
        while page["IsTruncated"]:
            page = self._call("list_objects_v2", Prefix=prefix, **token)
            for each in page.get("Contents", []):
                yield _object(each["Key"], each["Size"], each)
            token = {"ContinuationToken": page.get("NextContinuationToken", "")}

    # Writing

    def put_bytes(self, key: str, data: bytes, content_type: str = "") -> str:
        """Write or replace an object; returns its URI."""
        metadata = {"sha256": hashlib.sha256(data).hexdigest()}
        self._call("put_object", Key=key, Body=data, Metadata=metadata, **_content_type(key, content_type))
        return self.uri(key)

    def put_json(self, key: str, value: Any) -> str:
        """Write or replace an object by canonical JSON; returns its URI."""
        data = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).encode()
        return self.put_bytes(key, data, "application/json")

    def put_file(self, key: str, path: Path, content_type: str = "") -> str:
        """Write or replace an object by a file of any size, in parts when it is large; returns its URI."""
        from boto3.s3.transfer import TransferConfig

        extra = {"Metadata": {"sha256": sha256_of(path)}, **_content_type(key, content_type)}
        parts = TransferConfig(MULTIPART_BYTES, max_concurrency=PARTS_AT_ONCE, multipart_chunksize=PART_BYTES)
        self._repeat(key, lambda: self.client.upload_file(str(path), self.bucket, key, extra, Config=parts))
        return self.uri(key)

    def publish(self, key: str, path: Path, metadata: Mapping[str, str] | None = None) -> Published:
        """Create the object unless it exists: for keys that hold a digest of the content.

        Of any number of writers exactly one creates it and the others find it; so does an upload whose answer
        was lost. One that was noted otherwise, as by an earlier version of this code, is written again.
        """
        uri, created, found = self.uri(key), False, self.head(key)
        if not found or not (metadata or {}).items() <= found.metadata.items():
            condition = {} if found else {"IfNoneMatch": "*"}
            created = self._put(key, path, {"sha256": sha256_of(path), **(metadata or {})}, **condition)
            found = self.head(key)
        if not found or (created and found.size_bytes != path.stat().st_size):
            raise StepFailed(f"{uri} was written but is not whole at {self.settings.url}.", "Run it again.")
        log.info("published", uri=uri, bytes=found.size_bytes, created=created)
        return Published(uri, key, found.sha256, found.size_bytes, created)

    def _put(self, key: str, path: Path, metadata: Mapping[str, str], **condition: str) -> bool:
        """One PUT; False when the condition fails: somebody was first (or our own lost answer's upload)."""

        def put() -> bool:
            with path.open("rb") as body:
                self.client.put_object(
                    Bucket=self.bucket, Key=key, Body=body, Metadata=dict(metadata), **condition, **_content_type(key),
                )  # fmt: skip
            return True

        try:
            return self._repeat(key, put)
        except AlreadyThere:
            return False

    def copy(self, key: str, to_key: str) -> str:
        """Copy an object inside the bucket, on the server, metadata included; returns the copy's URI."""
        source = {"Bucket": self.bucket, "Key": key}
        self._repeat(key, lambda: self.client.copy(source, self.bucket, to_key))
        return self.uri(to_key)

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens when there is none."""
        self._call("delete_object", Key=key)

    def ensure_bucket(self) -> None:
        """Create the bucket unless it exists."""
        try:
            self._call("head_bucket")
        except (NoSuchObject, MissingBucketError):
            self._call("create_bucket")
            log.info("created the bucket", bucket=self.bucket)

    # Reading

    def get_bytes(self, key: str) -> bytes:
        """The whole of a small object, verified. Raises NoSuchObject."""

        def get() -> bytes:
            answer = self.client.get_object(Bucket=self.bucket, Key=key)
            data: bytes = answer["Body"].read()
            self._verify(key, hashlib.sha256(data).hexdigest(), answer["Metadata"].get("sha256"))
            return data

        return self._repeat(key, get)

    def get_json(self, key: str) -> Any:
        """An object's content as JSON. Raises NoSuchObject, or InvalidData when it is not JSON."""
        try:
            return json.loads(self.get_bytes(key))
        except ValueError:
            raise InvalidData(f"{self.uri(key)} is not JSON.") from None

    def download(self, key: str, path: Path, sha256: str | None = None) -> Path:
        """Fetch an object into `path`, all of it and verified, or nothing. Raises NoSuchObject."""

        def get() -> None:
            answer = self.client.get_object(Bucket=self.bucket, Key=key)
            hashed = hashlib.sha256()
            with whole_file(path) as temporary:
                with temporary.open("wb") as file:
                    for chunk in answer["Body"].iter_chunks(CHUNK_BYTES):
                        hashed.update(chunk)
                        file.write(chunk)
                self._verify(key, hashed.hexdigest(), sha256 or answer["Metadata"].get("sha256"))

        self._repeat(key, get)
        return path

    def _verify(self, key: str, found: str, expected: str | None) -> None:
        if expected and found != expected:
            raise CorruptedBody(f"{self.uri(key)} arrived with SHA-256 {found[:12]}, not {expected[:12]}.",
                                "The stored object is damaged, or the network is.")  # fmt: skip

    # For doctor

    def probe_write(self) -> None:
        """Prove that these keys may write, read and delete here."""
        key = f"probes/{hashlib.sha256(self.settings.access_key.encode()).hexdigest()[:12]}"
        self.put_bytes(key, b"probe")
        self.get_bytes(key)
        self.delete(key)


def _object(key: str, size_bytes: int, said: Mapping[str, Any]) -> Object:
    return Object(key, size_bytes, said["ETag"].strip('"'), said["LastModified"], said.get("Metadata", {}))


def _content_type(key: str, said: str = "") -> dict[str, str]:
    return {"ContentType": said or mimetypes.guess_type(key)[0] or "application/octet-stream"}
