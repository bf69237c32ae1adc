"""Object storage over S3 (MinIO, AWS, Ceph, SeaweedFS): content-addressed, verified, with deadlines.

One bucket, reached with the keys of the configuration: AWS_* variables, profiles and ~/.aws of the user are
ignored (without configured keys boto3's own chain is asked, as on EKS). Objects that matter are created once,
under a name that holds their digest. A body is verified by its SHA-256, and fetched anew when it is broken.
"""

import hashlib
import json
import mimetypes
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from common import retry
from common.digest import sha256_of
from common.errors import ConfigError, InvalidData, StepFailed
from common.logger import get_logger
from common.minio_errors import (
    AlreadyThere,
    CorruptedBody,
    MissingBucketError,
    NoSuchObject,
    arrow_in_our_words,
    in_our_words,
    refuse_foreign,
)
from common.patience import ANSWER_SECONDS, CONNECT_SECONDS, patience
from common.publish import whole_file
from common.settings import Minio as Section

if TYPE_CHECKING:
    from pyarrow import NativeFile
    from pyarrow.fs import S3FileSystem

log = get_logger(__name__)
T = TypeVar("T")

MULTIPART_BYTES = 64 << 20
# Small and few at once: a server on a slow disk hangs up on a part that takes 10 seconds.
PART_BYTES, PARTS_AT_ONCE = 8 << 20, 4
CHUNK_BYTES = 1 << 20
ARROW_SECONDS = 10  # Arrow adds some 6 s of its own to each of its three tries
# Can never exist, and unlike an empty file both boto3 and DVC pass over it.
NO_FILE = "/dev/null/none"
FITTING_KEY = re.compile(r"[^/\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,1000}")


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


class ObjectStore:
    """The project's bucket. Keys are paths inside it; URIs are s3://<bucket>/<key>."""

    def __init__(self, settings: Section) -> None:
        self.settings = settings
        self.bucket = settings.bucket

    @cached_property
    def client(self) -> Any:
        """boto3's client: path style, with deadlines, no retries of its own (common.retry has them)."""
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        config = Config(
            connect_timeout=patience(CONNECT_SECONDS), read_timeout=patience(ANSWER_SECONDS),
            retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, max_pool_connections=20,
            request_checksum_calculation="when_required", response_checksum_validation="when_required",
        )  # fmt: skip
        core = botocore.session.Session()
        for variable in ("config_file", "credentials_file") if self._keys() else ():
            core.set_config_variable(variable, NO_FILE)
            core.session_var_map["profile"] = (None, None, None, None)
        try:
            client = self._made(core, config)
        except (ValueError, BotoCoreError) as error:
            raise self._unfit(str(error)) from None  # its text may hold the endpoint's user info
        client.meta.events.register("before-parse.s3", refuse_foreign(self.settings))
        return client

    def _made(self, core: Any, config: Any) -> Any:
        import boto3

        parts = urlsplit(self.settings.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError("it needs http:// or https://, a host and a port")
        return boto3.Session(botocore_session=core).client(
            "s3",
            endpoint_url=self.settings.url,
            region_name=self.settings.region,
            config=config,
            verify=self.settings.ca_file or None,
            **self._keys(),
        )

    def _unfit(self, why: str) -> ConfigError:
        whole = self.settings.endpoint
        shown = whole.rpartition("@")[2]
        return ConfigError(
            f"No S3 client can be made for minio.endpoint {shown!r}: {why.replace(whole, shown).rstrip('.')}.",
            "Set minio.endpoint to host:port or a URL (no underscore in the host), and look at minio.region.",
        )

    def _keys(self) -> dict[str, str]:
        secret = self.settings.secret_key.get_secret_value()
        given = {"aws_access_key_id": self.settings.access_key, "aws_secret_access_key": secret}
        return given if self.settings.access_key else {}

    # Names

    def uri(self, key: str) -> str:
        """s3://<bucket>/<key>. Raises InvalidData for a key that climbs, or holds control characters."""
        if not FITTING_KEY.fullmatch(key) or {"..", "."} & set(key.split("/")):
            raise InvalidData(f"{key!r} is no usable object name.")
        return f"s3://{self.bucket}/{key}"

    def key(self, uri: str) -> str:
        """The key of a URI in our bucket. Raises InvalidData for any other scheme or bucket."""
        parts = urlsplit(uri)
        key = uri.removeprefix(f"s3://{self.bucket}/")
        if parts.scheme != "s3" or parts.netloc != self.bucket or self.uri(key) != uri:
            raise InvalidData(f"{uri} is not an object of bucket {self.bucket}.")
        return key

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

    # For other libraries

    def filesystem(self) -> "S3FileSystem":
        """The same store as pyarrow sees it; paths are <bucket>/<key>."""
        from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

        parts = urlsplit(self.settings.url)
        names = {"aws_access_key_id": "access_key", "aws_secret_access_key": "secret_key"}
        keys = {names[name]: value for name, value in self._keys().items()}
        return S3FileSystem(
            endpoint_override=parts.netloc, scheme=parts.scheme, region=self.settings.region, **keys,
            connect_timeout=patience(CONNECT_SECONDS), request_timeout=patience(ARROW_SECONDS),
            retry_strategy=AwsStandardS3RetryStrategy(max_attempts=3), tls_ca_file_path=self.settings.ca_file or None,
        )  # fmt: skip

    @contextmanager
    def opened(self, key: str) -> "Iterator[NativeFile]":
        """An object to read in parts, as Arrow does; while it is open, what goes wrong is told in our words."""
        with (
            arrow_in_our_words(self.settings, key),
            self.filesystem().open_input_file(f"{self.bucket}/{key}") as file,
        ):
            yield file

    def environment(self) -> dict[str, str]:
        """AWS_* variables that lead a child process to this store and no other. Holds the secret key."""
        keys = {name.upper(): value for name, value in self._keys().items()}
        files = {"AWS_CONFIG_FILE": NO_FILE, "AWS_SHARED_CREDENTIALS_FILE": NO_FILE} if keys else {}
        trusted = {"AWS_CA_BUNDLE": str(Path(self.settings.ca_file).absolute())} if self.settings.ca_file else {}
        return {
            **keys, **files, **trusted, "AWS_ENDPOINT_URL": self.settings.url, "AWS_ENDPOINT_URL_S3": self.settings.url,
            "AWS_REGION": self.settings.region, "AWS_DEFAULT_REGION": self.settings.region,
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        }  # fmt: skip

    # For doctor

    def ping(self) -> str:
        """What the server calls itself. Raises Unavailable, AccessRefused or MissingBucketError."""
        headers = self._call("head_bucket")["ResponseMetadata"]["HTTPHeaders"]
        return str(headers.get("server", "S3"))

    def probe_write(self) -> None:
        """Prove that these keys may write, read and delete here."""
        key = f"probes/{hashlib.sha256(self.settings.access_key.encode()).hexdigest()[:12]}"
        self.put_bytes(key, b"probe")
        self.get_bytes(key)
        self.delete(key)

    # Calling

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        method = getattr(self.client, operation)
        answer: dict[str, Any] = self._repeat(arguments.get("Key"), lambda: method(Bucket=self.bucket, **arguments))
        return answer

    def _repeat(self, key: str | None, function: Callable[[], T]) -> T:
        if key is not None:
            self.uri(key)  # refuses what is no usable name before the server sees it
        with in_our_words(self.settings, key or ""):
            return retry.object_store.call(function)


def _object(key: str, size_bytes: int, said: Mapping[str, Any]) -> Object:
    return Object(key, size_bytes, said["ETag"].strip('"'), said["LastModified"], said.get("Metadata", {}))


def _content_type(key: str, said: str = "") -> dict[str, str]:
    return {"ContentType": said or mimetypes.guess_type(key)[0] or "application/octet-stream"}
