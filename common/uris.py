"""Addresses as they are allowed to be: objects, models, repositories; checked where they come in, as names are.

What passes means the same to everyone who reads it: no user, port, query, fragment, escape or step upwards.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from common.names import LONGEST_KEY, BadName, bucket, object_key, or_empty, shown

GIT_SCHEMES = ("https", "http", "ssh", "git+ssh", "file")
SCHEME = re.compile(r"[a-z][a-z0-9]{1,9}")
PART = re.compile(r"[A-Za-z0-9_=.-]+")
NO_HINT = "Correct it where it comes from."


@dataclass(frozen=True)
class S3Uri:
    """An object's place."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def s3_uri(text: str, buckets: Collection[str], what: str = "The address") -> S3Uri:
    """An s3:// URI in one of these buckets. What is accepted is what S3 gets: str(s3_uri(text, ...)) == text."""
    where, _, key = text.removeprefix("s3://").partition("/")
    if not text.startswith("s3://") or where not in buckets:
        ours = " or ".join(sorted(buckets)) or "any bucket of ours"
        raise BadName(f"{_told(what, text)} is not allowed: it must be an s3:// URI in {ours}.", NO_HINT)
    return S3Uri(where, object_key(key, f"{_told(what, text)} has a key that"))


def table_or_uri(text: str, what: str = "The source") -> str:
    """The name of a table, or an s3:// URI; whose bucket it is in is asked where it is opened.

    A table is quoted wherever it is used and may be called nearly anything; what is no text is refused.
    """
    if "://" in text:
        scheme, _, rest = text.partition("://")
        where, _, key = rest.partition("/")
        if scheme != "s3":
            raise BadName(f"{_told(what, text)} is not allowed: {shown(scheme)} is not spoken, s3:// is.", NO_HINT)
        bucket(where, f"{_told(what, text)} has a bucket that")
        object_key(key, f"{_told(what, text)} has a key that")
    elif not text or not text.isprintable() or len(text.encode()) > 2 * 63 + 1:
        raise BadName(f"{_told(what, text)} is not allowed: it must be a table or an s3:// URI.", NO_HINT)
    return text


def model_uri(text: str, of_digest: str, schemes: Collection[str], buckets: Collection[str]) -> str:
    """A folder in a bucket of ours, named by the digest of the model that it holds."""
    scheme, _, rest = text.partition("://")
    where, _, path = rest.partition("/")
    if (
        len(text) > LONGEST_KEY
        or not SCHEME.fullmatch(scheme)
        or not all(_is_plain(part) for part in (where, *path.split("/")))
    ):
        raise BadName(f"The address of a model, {shown(text)}, is not scheme://bucket/path.", "Register it again.")
    if scheme not in schemes:
        raise BadName(f"{shown(text)} has the scheme {scheme}, not {' or '.join(sorted(schemes))}.",
                     "Add it to uc6.allowed_schemes if it is meant.")  # fmt: skip
    if where not in buckets:
        raise BadName(f"{shown(text)} lies in the bucket {where}, not in {' or '.join(sorted(buckets))}.",
                     "Add it to uc6.allowed_buckets if it is meant.")  # fmt: skip
    if path.rpartition("/")[2] != of_digest:
        raise BadName(f"{shown(text)} is not named by the digest of its model, {of_digest[:12]}...: it could change.",
                     "Register the model under its digest, as UC1 does.")  # fmt: skip
    return text


def git_url(text: str, what: str = "The repository's address") -> str:
    """Where a repository lies: https, ssh, file or a path; no transport that runs a command, no option in disguise."""
    scheme = text.partition("://")[0] if "://" in text else ""
    if text.startswith("-") or "::" in text or not text or not text.isprintable() or " " in text:
        raise BadName(f"{_told(what, text)} is not allowed: it must be https, ssh, file or a path.", NO_HINT)
    if "://" in text and scheme not in GIT_SCHEMES:
        raise BadName(f"{_told(what, text)} is not allowed: {scheme} is not spoken; https, ssh and file are.", NO_HINT)
    if _host(text, scheme).startswith("-"):
        raise BadName(f"{_told(what, text)} is not allowed: its host would be taken for an option.", NO_HINT)
    return text


def http_url(text: str, what: str = "The address") -> str:
    """Where a server answers: http or https, and a host."""
    wrong = not text.isprintable() or any(each in text for each in " \\\"'<>`{}|^")
    try:
        parts = urlsplit(text)
        wrong = wrong or parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        wrong = True
    if wrong:
        raise BadName(f"{_told(what, text)} is not allowed: it must be http:// or https:// and a host.", NO_HINT)
    return text


def _told(what: str, text: str) -> str:
    """With the address; of one that names a user only how it begins, for in a broken one passwords lie anywhere."""
    scheme, is_url, rest = text.partition("://")
    return f"{what} {shown(f'{scheme}://...' if is_url and '@' in rest else text)}".lstrip()


def _host(text: str, scheme: str) -> str:
    try:
        return urlsplit(text).hostname or "" if scheme else text.partition(":")[0].rpartition("@")[2]
    except ValueError:
        return "-"  # brackets that are none: no host


def _is_plain(part: str) -> bool:
    return bool(PART.fullmatch(part)) and ".." not in part and not part.startswith(".")


GitUrl = Annotated[str, or_empty(git_url)]
HttpUrl = Annotated[str, or_empty(http_url)]
TableOrUri = Annotated[str, or_empty(table_or_uri)]
