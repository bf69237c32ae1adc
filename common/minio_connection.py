"""How the object store is reached, by boto3 and by whoever has an S3 client of its own, and how its answers are taken.

One bucket, reached with the keys of the configuration: AWS_* variables, profiles and ~/.aws of the user are
ignored (without configured keys boto3's own chain is asked, as on EKS).
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from common import retry
from common.errors import ConfigError, InvalidData
from common.minio_errors import arrow_in_our_words, in_our_words, refuse_foreign
from common.patience import ANSWER_SECONDS, CONNECT_SECONDS, patience
from common.settings import Minio as Section

if TYPE_CHECKING:
    from pyarrow import NativeFile
    from pyarrow.fs import S3FileSystem

T = TypeVar("T")
ARROW_SECONDS = 10  # Arrow adds some 6 s of its own to each of its three tries
# Can never exist, and unlike an empty file both boto3 and DVC pass over it.
NO_FILE = "/dev/null/none"
FITTING_KEY = re.compile(r"[^/\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,1000}")


class StoreConnection:
    """How the project's bucket is reached. Keys are paths inside it; URIs are s3://<bucket>/<key>."""

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
