"""Names and addresses that go into manifests, commits and commands, checked where they come in.

They are data from elsewhere: a registry's tag, a setting, an argument. What is not surely a name is refused here, so
that nothing behind has to ask whether a line break, an option or a path could hide in one.
"""

import re
from collections.abc import Collection

from common.names import DIGEST, LABEL, BadName

COMMIT = re.compile(r"[0-9a-f]{7,64}")
PERSON = re.compile(r"[^\W_][\w .@'+-]{0,98}[\w.]?")
LINE = re.compile(r"[\x20-\x7e\u00a0-\u2027\u202a-\uffff]{1,500}")
URI = re.compile(
    r"(?P<scheme>[a-z0-9]+)://(?P<bucket>[a-z0-9][a-z0-9.-]{1,62})/(?P<path>[A-Za-z0-9_.=-]+(/[A-Za-z0-9_.=-]+)*)"
)


def label(value: str, what: str) -> str:
    """The value, when it is a name as RFC 1123 wants it: lower case letters, digits and dashes, at most 63."""
    return _checked(LABEL, value, what, "lower case letters, digits and inner dashes, at most 63")


def digest(value: str, what: str) -> str:
    """The value, when it is a SHA-256 in hexadecimal."""
    return _checked(DIGEST, value, what, "64 hexadecimal digits")


def commit(value: str, what: str) -> str:
    """The value, when it is the hash of a commit, or the beginning of one."""
    return _checked(COMMIT, value, what, "the hash of a commit: 7 to 64 hexadecimal digits")


def person(value: str, what: str) -> str:
    """The value, when it can stand in a trailer as somebody's name or address."""
    return _checked(PERSON, value, what, "letters, digits, blanks and .@'+- on one line, at most 100")


def line(value: str, what: str) -> str:
    """The value, when it is one line without control characters."""
    return _checked(LINE, value, what, "one line without control characters, at most 500")


def model_uri(value: str, of_digest: str, schemes: Collection[str], buckets: Collection[str]) -> str:
    """The value, when it is a folder in a bucket of ours, named by the digest of what it holds.

    No user, port, query, fragment, escape or step upwards: nothing that two readers could read in two ways.
    """
    found = URI.fullmatch(value)
    if not found or ".." in value or found["path"].startswith("."):
        raise BadName(f"The address of a model, {shown(value)}, is not scheme://bucket/path.", "Register it again.")
    if found["scheme"] not in schemes:
        raise BadName(f"{shown(value)} has the scheme {found['scheme']}, not {' or '.join(sorted(schemes))}.",
                     "Add it to uc6.allowed_schemes if it is meant.")  # fmt: skip
    if found["bucket"] not in buckets:
        raise BadName(f"{shown(value)} lies in the bucket {found['bucket']}, not in {' or '.join(sorted(buckets))}.",
                     "Add it to uc6.allowed_buckets if it is meant.")  # fmt: skip
    if found["path"].rpartition("/")[2] != of_digest:
        raise BadName(f"{shown(value)} is not named by the digest of its model, {of_digest[:12]}...: it could change.",
                     "Register the model under its digest, as UC1 does.")  # fmt: skip
    return value


def shown(value: str) -> str:
    """A foreign value as a message may show it."""
    return ascii(value[:80])


def _checked(pattern: re.Pattern[str], value: str, what: str, wanted: str) -> str:
    if not pattern.fullmatch(value):
        raise BadName(f"{what} {shown(value)} is not allowed: it must be {wanted}.", "Correct it where it comes from.")
    return value
