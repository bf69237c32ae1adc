"""What S3 answers, in our words: the endpoint and the bucket are named, the keys never."""

import contextlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from common import retry, transient
from common.errors import AccessRefused, ConfigError, InvalidData, MlopsError, StepFailed, Unavailable
from common.retry import headers_of
from common.settings import Minio as Section
from common.transient import Verdict, chain, kinds

REFUSED = {
    "401", "Unauthorized", "403", "Forbidden", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch",
    "ExpiredToken",
}  # fmt: skip
MISSING = {"NoSuchKey", "404", "NotFound"}
RUNNING_HINT = "Is it running? The embedded one: python -m embedded up"
MISSING_HINT = "What a step wrote, a run with --force writes again; `python -m common doctor` shows the bucket."
CLOCKS_MAY_DIFFER = timedelta(minutes=15)  # S3 takes no signature of another time
KEYS_HINT = "Set minio.access_key and MLOPS_MINIO__SECRET_KEY, or minio.secret_key_file."


class CorruptedBody(StepFailed):
    """An object arrived, but its bytes are not those of its SHA-256."""


class NoSuchObject(InvalidData):
    """There is no object of this name."""


class MissingBucketError(ConfigError):
    """There is no bucket of this name."""


class AlreadyThere(StepFailed):
    """A conditional write found the object: somebody was first."""


def refuse_foreign(settings: Section) -> Callable[..., None]:
    """A look at every answer: one of 2xx that is a web page without an ETag comes from somebody else.

    A proxy's page, say. Taken for an answer, an upload would count as done, and a listing as empty.
    """

    def look(response_dict: Any, **_: Any) -> None:
        headers = {name.lower(): value for name, value in response_dict["headers"].items()}
        is_page = headers.get("content-type", "").lower().startswith("text/html") and "etag" not in headers
        if is_page and response_dict["status_code"] < 300:
            raise Unavailable(
                f"What answers at {settings.url} is a web page, and no S3.",
                "Correct minio.endpoint, and look for proxies in between.",
            )

    return look


@contextmanager
def in_our_words(settings: Section, key: str) -> Iterator[None]:
    """Turn botocore's errors about `key` into ours; everything else passes as it is."""
    try:
        yield
    except MlopsError:
        raise
    except Exception as error:
        if not any("botocore." in name or "boto3." in name or "s3transfer." in name for name in kinds(error)):
            raise
        raise _translated(error, settings, key) from error


@contextmanager
def arrow_in_our_words(settings: Section, key: str) -> Iterator[None]:
    """The same for Arrow's S3 client and for its parquet reader, whose errors only words tell apart."""
    try:
        yield
    except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
        ours = of_arrow(error, settings, key)
        if ours is None:
            raise
        raise ours from error


def of_arrow(error: Exception, settings: Section, key: str) -> MlopsError | None:
    """Our error for Arrow's; None for one that is not about the object store or an object's bytes."""
    said, where = str(error), f"bucket {settings.bucket} at {settings.url}"
    if re.search(r"AWS Error (ACCESS_DENIED|INVALID_ACCESS_KEY_ID|SIGNATURE|INVALID_SIGNATURE|MISSING_AUTH)", said):
        return AccessRefused(f"S3 refused access key {settings.access_key or '(none)'} for {where}.", KEYS_HINT)
    if "AWS Error NO_SUCH_BUCKET" in said:
        return MissingBucketError(f"There is no {where}.", "Create it, or set minio.bucket.")
    if isinstance(error, FileNotFoundError) and error.filename is None:  # Arrow's; Python's own name their file
        return NoSuchObject(f"There is no object {key or 'of this name'} in {where}.")
    if transient.arrow(error) is Verdict.RETRY:
        return Unavailable(f"S3 at {settings.url} does not answer: {_sentence(error)}.", RUNNING_HINT)
    if "AWS Error" in said:
        return StepFailed(f"S3 could not do it for {key or 'an object'} in {where}: {_sentence(error)}.")
    if re.search(r"thrift|Parquet|parquet|magic bytes", said):
        return InvalidData(
            f"What arrives as {key or 'an object'} of {where} is no parquet file: {_sentence(error)}.",
            "The object is damaged, or another server answers.",
        )
    return None


def _translated(error: Exception, settings: Section, key: str) -> MlopsError:
    code, where = _code(error), f"bucket {settings.bucket} at {settings.url}"
    if code == "PreconditionFailed" or code == "412":
        return AlreadyThere(f"s3://{settings.bucket}/{key} is there already.")
    if code == "NoSuchBucket" or (code in MISSING and not key):
        return MissingBucketError(f"There is no {where}.", "Create it, or set minio.bucket.")
    if code == "NoSuchKey":
        return NoSuchObject(f"There is no object {key} in {where}.", MISSING_HINT)
    if code in MISSING:  # the answer to a HEAD has no body that says whether it is the object or its bucket
        return NoSuchObject(f"There is no object {key} in {where}, or no such bucket.", MISSING_HINT)
    if code == "RequestTimeTooSkewed" or (code in REFUSED and _is_of_another_time(error)):
        return ConfigError(f"The clocks of this machine and of {settings.url} differ too much.", "Set the clock.")
    if code in REFUSED:
        said = f"access key {settings.access_key or '(none)'} for {where} ({code})"
        return AccessRefused(f"S3 refused {said}.", KEYS_HINT)
    if retry.object_store.is_transient(error):
        return Unavailable(f"S3 at {settings.url} does not answer: {_sentence(error)}.", RUNNING_HINT)
    return StepFailed(f"S3 could not do it for {key or 'the bucket'} in {where}: {_sentence(error)}.")


def _is_of_another_time(error: BaseException) -> bool:
    """True where the answer's date is far from ours: S3 refuses such a signature, and to a HEAD says nothing more."""
    for each in chain(error):
        with contextlib.suppress(TypeError, ValueError):
            their = parsedate_to_datetime(str(headers_of(each).get("date")))
            return abs(datetime.now(UTC) - their) > CLOCKS_MAY_DIFFER
    return False


def _code(error: BaseException) -> str:
    for each in chain(error):
        response: dict[str, Any] = getattr(each, "response", None) or {}
        if "Error" in response:
            return str(response["Error"].get("Code", ""))
    return ""


def _sentence(error: BaseException) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")[:300]
