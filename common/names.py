"""Names and addresses as they are allowed to be, checked where they come in: before a shell, a URL or YAML sees them.

Each check returns its text or raises BadName, a sentence of what is wrong with it. As types (`DnsLabel`, `ModelName`,
`Bucket`, `Branch`) they guard settings: there the sentence comes with the path of the setting.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from common.errors import InvalidData

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,98}[A-Za-z0-9]|[A-Za-z0-9]")
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
DIGEST = re.compile(r"[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
LONGEST_SUBDOMAIN, LONGEST_BRANCH, LONGEST_KEY = 253, 200, 1024
NOT_IN_A_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)")
NOT_IN_A_KEY = re.compile(r"[\x00-\x1f\x7f\\]")


class BadName(InvalidData, ValueError):
    """A name or an address that is not allowed to be so. A ValueError too, so that settings tell it with their path."""


def dns_label(text: str) -> str:
    """A label of RFC 1123, as Kubernetes wants for namespaces and services: 1 to 63 of a-z, 0-9 and inner dashes."""
    if not LABEL.fullmatch(text):
        raise BadName(f"{_shown(text)} is no DNS label: a to z, 0 to 9 and inner dashes, at most 63 characters")
    return text


def dns_subdomain(text: str) -> str:
    """Labels of RFC 1123 with dots between them, 253 characters at most: names of most Kubernetes objects."""
    if len(text) > LONGEST_SUBDOMAIN or not all(LABEL.fullmatch(label) for label in text.split(".")):
        raise BadName(f"{_shown(text)} is no DNS name: labels of a to z, 0 to 9 and inner dashes, with dots between")
    return text


def model_name(text: str) -> str:
    """A registered model: letters and digits of ASCII, with inner spaces, dots, dashes and underscores; at most 100."""
    if not MODEL.fullmatch(text) or ".." in text:
        raise BadName(f"{_shown(text)} is no model name: ASCII letters and digits, inner spaces and . _ - only")
    return text


def bucket(text: str) -> str:
    """A bucket as every S3 takes it: 3 to 63 of a-z, 0-9, dots and dashes; no IP address."""
    if not BUCKET.fullmatch(text) or ".." in text or re.fullmatch(r"[0-9]+(\.[0-9]+){3}", text):
        raise BadName(f"{_shown(text)} is no bucket name: 3 to 63 of a to z, 0 to 9, inner dots and dashes")
    return text


def branch(text: str) -> str:
    """A branch by the rules of git check-ref-format, and never one that git would take for an option."""
    wrong = not text.isprintable() or not 0 < len(text) <= LONGEST_BRANCH or text == "@"
    wrong = wrong or text[0] in "-/." or text[-1] in "/."
    if wrong or NOT_IN_A_BRANCH.search(text):
        raise BadName(f"{_shown(text)} is no branch name as git allows it")
    return text


def digest(text: str) -> str:
    """A SHA-256 in lower-case hex."""
    if not DIGEST.fullmatch(text):
        raise BadName(f"{_shown(text)} is no SHA-256: 64 of 0 to 9 and a to f")
    return text


def commit(text: str) -> str:
    """A whole commit id: an abbreviation may mean another one tomorrow."""
    if not COMMIT.fullmatch(text):
        raise BadName(f"{_shown(text)} is no whole commit id")
    return text


@dataclass(frozen=True)
class S3Uri:
    """An object's place."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def s3_uri(text: str, buckets: Collection[str]) -> S3Uri:
    """An s3:// URI in one of these buckets: no user, port, query, fragment, `.` or `..`, empty part or backslash.

    What is accepted is what S3 gets: str(s3_uri(text, ...)) == text.
    """
    where, _, key = text.removeprefix("s3://").partition("/")
    if not text.startswith("s3://") or where not in buckets:
        raise BadName(f"{_shown(text)} is no s3:// URI in {' or '.join(sorted(buckets)) or 'any bucket of ours'}")
    parts = key.split("/")
    climbs = {".", ".."} & set(parts) or "" in parts[:-1] or not parts[0]
    if climbs or len(key.encode(errors="replace")) > LONGEST_KEY or NOT_IN_A_KEY.search(key) or set(key) & set("?#%"):
        raise BadName(f"{_shown(text)} names no object that we would have written")
    return S3Uri(where, key)


def git_url(text: str) -> str:
    """Where a repository lies: https, ssh, file or a path; no transport that runs a command, no option in disguise."""
    scheme = text.partition("://")[0] if "://" in text else ""
    if text.startswith("-") or "::" in text or re.search(r"[\x00-\x20\x7f]", text) or not text:
        raise BadName(f"{_shown(text)} is no address of a git repository")
    if scheme and scheme not in ("https", "http", "ssh", "git+ssh", "file"):
        raise BadName(f"{_shown(text)}: {scheme} is not spoken; https, ssh and file are")
    host = urlsplit(text).hostname or "" if scheme else text.partition(":")[0].rpartition("@")[2]
    if host.startswith("-"):
        raise BadName(f"{_shown(text)}: its host would be taken for an option")
    return text


def _shown(text: str) -> str:
    """The text in a message: short, printable, and without what stands before an @."""
    clean = re.sub(r"//[^/]*@", "//", text)
    return repr(clean if len(clean) <= 80 else clean[:77] + "...")


DnsLabel = Annotated[str, AfterValidator(dns_label)]
ModelName = Annotated[str, AfterValidator(model_name)]
Bucket = Annotated[str, AfterValidator(bucket)]
Branch = Annotated[str, AfterValidator(branch)]
