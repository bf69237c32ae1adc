"""What S3 answers, in our words: the endpoint and the bucket are named, the keys never."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from common import retry
from common.errors import AccessRefused, ConfigError, InvalidData, MlopsError, StepFailed, Unavailable
from common.settings import Minio as Section
from common.transient import chain, kinds

REFUSED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403", "Forbidden", "ExpiredToken"}
MISSING = {"NoSuchKey", "404", "NotFound"}
KEYS_HINT = "Set minio.access_key and MLOPS_MINIO__SECRET_KEY, or minio.secret_key_file."


class CorruptedBody(StepFailed):
    """An object arrived, but its bytes are not those of its SHA-256."""


class NoSuchObject(InvalidData):
    """There is no object of this name."""


class MissingBucketError(ConfigError):
    """There is no bucket of this name."""


class AlreadyThere(StepFailed):
    """A conditional write found the object: somebody was first."""


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


def _translated(error: Exception, settings: Section, key: str) -> MlopsError:
    code, where = _code(error), f"bucket {settings.bucket} at {settings.url}"
    if code == "PreconditionFailed" or code == "412":
        return AlreadyThere(f"s3://{settings.bucket}/{key} is there already.")
    if code == "NoSuchBucket" or (code in MISSING and not key):
        return MissingBucketError(f"There is no {where}.", "Create it, or set minio.bucket.")
    if code in MISSING:
        return NoSuchObject(f"There is no object {key} in {where}.")
    if code in REFUSED:
        said = f"access key {settings.access_key or '(none)'} for {where} ({code})"
        return AccessRefused(f"S3 refused {said}.", KEYS_HINT)
    if code == "RequestTimeTooSkewed":
        return ConfigError(f"The clocks of this machine and of {settings.url} differ too much.", "Set the clock.")
    if retry.object_store.is_transient(error):
        hint = "Is it running? The embedded one: python -m embedded up"
        return Unavailable(f"S3 at {settings.url} does not answer: {_sentence(error)}.", hint)
    return StepFailed(f"S3 could not do it for {key or 'the bucket'} in {where}: {_sentence(error)}.")


def _code(error: BaseException) -> str:
    for each in chain(error):
        response: dict[str, Any] = getattr(each, "response", None) or {}
        if "Error" in response:
            return str(response["Error"].get("Code", ""))
    return ""


def _sentence(error: BaseException) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")[:300]
