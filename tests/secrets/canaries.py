"""Secrets that can be told apart from everything else in the world, and a search for them in whatever disguise.

Each is made of two halves that begin with a stem of this test session; between them stand the characters that break
URLs, shells and formats. The search looks for the stem, so that half a secret is found as well.
"""

import base64
import html
import json
import secrets
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

STEM = f"zq7x{secrets.token_hex(4)}"
AWKWARD = "@/#%:'\"$ &?+\\"


@dataclass(frozen=True)
class Canary:
    """A secret and what it opens."""

    name: str
    value: str

    @property
    def in_url(self) -> str:
        """As a user or password in a URL."""
        return quote(self.value, safe="")


def canary(name: str, between: str = AWKWARD) -> Canary:
    """A new one."""
    return Canary(name, between.join(f"{STEM}{secrets.token_hex(6)}" for _ in range(2)))


@dataclass(frozen=True)
class Hit:
    """Where a secret was found: in which sink, in which encoding, and what stands around it."""

    sink: str
    encoding: str
    whose: str
    around: bytes


def encodings(text: str) -> dict[str, bytes]:
    """The ways in which programs write a text; of base64 what does not depend on the letters around it."""
    raw = text.encode()
    return {
        "raw": raw, "reversed": raw[::-1], "lower case": raw.lower(), "upper case": raw.upper(),
        "percent": quote(text, safe="").encode(), "percent, lower": quote(text, safe="").lower().encode(),
        "percent of a path": quote(text).encode(), "plus": quote_plus(text).encode(),
        "json": json.dumps(text).encode(), "json twice": json.dumps(json.dumps(text)).encode(),
        "repr": repr(text).encode(), "shell": shlex.quote(text).encode(), "html": html.escape(text).encode(),
        "hex": raw.hex().encode(), "hex, upper": raw.hex().upper().encode(),
        "utf-16": text.encode("utf-16-le"), "utf-16, big": text.encode("utf-16-be"),
        **{f"base64 after {n}": _in_base64(raw, n) for n in range(3)},
        **{f"base64 of a URL after {n}": _in_base64(raw, n).translate(bytes.maketrans(b"+/", b"-_")) for n in range(3)},
    }  # fmt: skip


def _in_base64(raw: bytes, before: int) -> bytes:
    whole = base64.b64encode(b"\0" * before + raw).rstrip(b"=")
    return whole[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]


_RAW = STEM.encode()
_FOLDED = (_RAW, _RAW[::-1], _RAW.hex().encode(), STEM.encode("utf-16-le")[:-1])
_EXACT = tuple(_in_base64(_RAW, before) for before in range(3))


def search(pieces: Iterable[tuple[str, bytes]], canaries: Iterable[Canary]) -> Iterator[Hit]:
    """Every place in the pieces (a name, bytes) where a secret of this session, or half of one, stands."""
    known = tuple(canaries)
    for sink, data in pieces:
        folded = data.lower()
        places = [folded.find(stem) for stem in _FOLDED] + [data.find(stem) for stem in _EXACT]
        for place in (place for place in places if place >= 0):
            whose, encoding = _named(data, known)
            yield Hit(sink, encoding, whose, data[max(0, place - 60) : place + 60])


def _named(data: bytes, known: tuple[Canary, ...]) -> tuple[str, str]:
    """Whose secret it is, and how it is written; where only a half is there, that is said."""
    for each in known:
        for encoding, text in encodings(each.value).items():
            if text in data:
                return each.name, encoding
    for each in known:
        for half in each.value.split(AWKWARD):
            if half.encode() in data.lower():
                return each.name, "half of it"
    return "one of them", "a part of it"
