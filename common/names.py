"""Names as they are allowed to be, checked where they come in: before a shell, a URL, YAML or git sees them.

They are data from elsewhere: a setting, an argument, a registry's tag, a commit. Each check returns its text or raises
BadName, a sentence of what it is (`what`) and what it must be, so that nothing behind has to ask whether a line break,
an option or a path could hide in one. As types (`DnsLabel`, `ModelName`, ...) they guard settings: there the sentence
comes with the path of the setting. Addresses are in common/uris.py.
"""

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator

from common.errors import InvalidData

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,98}[A-Za-z0-9]|[A-Za-z0-9]")
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
DIGEST = re.compile(r"[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{7,64}")
VERSION = re.compile(r"[1-9][0-9]{0,17}")
IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
PERSON = re.compile(r"[^\W_][\w .@'+-]{0,98}[\w.]?")
# Without control characters, separators of lines, marks that turn the direction of writing, and halves of pairs.
LINE = re.compile(r"[\x20-\x7e\u00a0-\u200d\u2010-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\uffef]{1,500}")
IMAGE = re.compile(
    r"[a-z0-9][a-z0-9._-]*(:[0-9]{1,5})?(/[a-z0-9][a-z0-9._-]*)*(:\w[\w.-]{0,127})?(@sha256:[0-9a-f]{64})?", re.ASCII
)
LONGEST_SUBDOMAIN, LONGEST_BRANCH, LONGEST_KEY = 253, 200, 1024
LONGEST_TABLE = 63  # bytes: PostgreSQL cuts longer names off, and says so to nobody
NOT_IN_A_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)")
NOT_IN_A_KEY = re.compile(r"[\x00-\x1f\x7f\\?#%\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class BadName(InvalidData):
    """A name or an address that is not allowed to be so."""


def dns_label(text: str, what: str = "The name") -> str:
    """A label of RFC 1123, as Kubernetes wants for namespaces and services: 1 to 63 of a-z, 0-9 and inner dashes."""
    return _matching(LABEL, text, what, "a DNS label: a to z, 0 to 9 and inner dashes, at most 63 characters")


def dns_subdomain(text: str, what: str = "The name") -> str:
    """Labels of RFC 1123 with dots between them, 253 characters at most: names of most Kubernetes objects."""
    fits = len(text) <= LONGEST_SUBDOMAIN and all(LABEL.fullmatch(label) for label in text.split("."))
    return _fitting(fits, text, what, "a DNS name: labels of a to z, 0 to 9 and inner dashes, with dots between")


def model_name(text: str, what: str = "The model's name") -> str:
    """A registered model: letters and digits of ASCII, with inner spaces, dots, dashes and underscores; at most 100."""
    fits = bool(MODEL.fullmatch(text)) and ".." not in text
    return _fitting(fits, text, what, "ASCII letters and digits, inner spaces and . _ -, at most 100 characters")


def bucket(text: str, what: str = "The bucket") -> str:
    """A bucket as every S3 takes it: 3 to 63 of a-z, 0-9, dots and dashes; no IP address."""
    fits = BUCKET.fullmatch(text) and ".." not in text and not re.fullmatch(r"[0-9]+(\.[0-9]+){3}", text)
    return _fitting(bool(fits), text, what, "3 to 63 of a to z, 0 to 9, inner dots and dashes, and no IP address")


def object_key(text: str, what: str = "The key") -> str:
    """A place in a bucket: no `.` or `..`, no empty part (a last one may be), nothing that a URI would escape."""
    parts = text.split("/")
    climbs = {".", ".."} & set(parts) or "" in parts[:-1] or not parts[0]
    fits = not climbs and not NOT_IN_A_KEY.search(text) and len(text.encode(errors="replace")) <= LONGEST_KEY
    return _fitting(bool(fits), text, what, "a path without .., empty parts, control characters and any of \\ ? # %")


def table(text: str, what: str = "The table") -> str:
    """A table or a column: nearly anything, as it is quoted where it is used; but it can be read, and stays whole."""
    fits = text.isprintable() and bool(text.strip()) and len(text.encode(errors="replace")) <= LONGEST_TABLE
    return _fitting(fits, text, what, f"a name of 1 to {LONGEST_TABLE} bytes, all of them printable")


def branch(text: str, what: str = "The branch") -> str:
    """A branch by the rules of git check-ref-format, and never one that git would take for an option."""
    wrong = not text.isprintable() or not 0 < len(text) <= LONGEST_BRANCH or text in ("@", "HEAD")
    wrong = wrong or text[0] in "-/." or text[-1] in "/."
    fits = not wrong and not NOT_IN_A_BRANCH.search(text)
    return _fitting(fits, text, what, "a branch as git allows it")


def digest(text: str, what: str = "The digest") -> str:
    """A SHA-256 in lower-case hex."""
    return _matching(DIGEST, text, what, "a SHA-256: 64 of 0 to 9 and a to f")


def commit(text: str, what: str = "The commit") -> str:
    """The hash of a commit, or its beginning; no branch, and no expression of git's."""
    return _matching(COMMIT, text, what, "the hash of a commit: 7 to 64 hexadecimal digits")


def version(text: str, what: str = "The version") -> str:
    """The number of a registered version, as the registry writes it."""
    return _matching(VERSION, text, what, "a whole number from 1 on")


def identifier(text: str, what: str = "The name") -> str:
    """What becomes part of tables' names, and a name in programs: letters, digits and underscores."""
    return _matching(IDENTIFIER, text, what, "a letter of ASCII, then letters, digits and _, at most 40 characters")


def image(text: str, what: str = "The image") -> str:
    """A container image: registry/name:tag or @sha256:digest."""
    return _matching(IMAGE, text, what, "an image such as registry/name:tag")


def person(text: str, what: str = "The person's name") -> str:
    """Somebody's name or address, that can stand in a commit's trailer."""
    return _matching(PERSON, text, what, "letters, digits, blanks and .@'+- on one line, at most 100")


def line(text: str, what: str = "The text") -> str:
    """One line that reads as it is written: no control characters, and none that turn the direction of writing."""
    return _matching(LINE, text, what, "one line without control characters, at most 500")


def shown(text: str) -> str:
    """A foreign text in a message: short, of ASCII, and without what stands before an @."""
    clean = re.sub(r"//[^/]*@", "//", text)
    return ascii(clean if len(clean) <= 80 else clean[:77] + "...")


def as_type(check: Callable[[str, str], str]) -> AfterValidator:
    """The check for a setting, whose path says what it is."""

    def checked(text: str) -> str:
        try:
            return check(text, "")
        except BadName as error:
            raise ValueError(error.message.rstrip(".")) from None

    return AfterValidator(checked)


def or_empty(check: Callable[[str, str], str]) -> AfterValidator:
    """The same, and the setting may be empty."""
    return as_type(lambda text, what: check(text, what) if text else text)


def _matching(pattern: re.Pattern[str], text: str, what: str, wanted: str) -> str:
    return _fitting(bool(pattern.fullmatch(text)), text, what, wanted)


def _fitting(fits: bool, text: str, what: str, wanted: str) -> str:
    if not fits:
        said = f"{what} {shown(text)}".lstrip()
        raise BadName(f"{said} is not allowed: it must be {wanted}.", "Correct it where it comes from.")
    return text


DnsLabel = Annotated[str, as_type(dns_label)]
DnsName = Annotated[str, as_type(dns_subdomain)]
DnsNameOrEmpty = Annotated[str, or_empty(dns_subdomain)]
ModelName = Annotated[str, as_type(model_name)]
Bucket = Annotated[str, as_type(bucket)]
ObjectKey = Annotated[str, as_type(object_key)]
Branch = Annotated[str, as_type(branch)]
Identifier = Annotated[str, as_type(identifier)]
Image = Annotated[str, as_type(image)]
PersonOrEmpty = Annotated[str, or_empty(person)]
Line = Annotated[str, or_empty(line)]
