"""Anchors of the audit trail, outside its database: what the newest entry was at the end of each run.

A hash chain shows what was changed inside it. It cannot show that its end was cut off, or that all of it was written
anew: for that somebody else must remember. After each run, number and hash of the newest entry go to a file beside the
ledger and, where the run used the object store, to an object of their own under `audit/`.
"""

import json
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from common.keys import digest_of
from common.ledger import Ledger, ledger_file
from common.publish import sync
from common.settings import without_credentials

if TYPE_CHECKING:
    from common.minio_client import ObjectStore
    from common.settings import Settings

PREFIX = "audit"


class Anchor(NamedTuple):
    """What was seen: the ledger (by the hash of its first entry), its newest entry, and when."""

    first: str
    seq: int
    hash: str
    at: str

    @property
    def key(self) -> str:
        """Its object's name: one for ever, so that writing it twice changes nothing."""
        return f"{PREFIX}/{self.first[:16]}/{self.seq:012}-{self.hash[:16]}.json"


class Finding(NamedTuple):
    """The first entry that is not what was written, and how that is known. `entry` None: all is well."""

    entry: int | None
    sentence: str


def anchors_file(settings: "Settings") -> Path:
    """Where this machine remembers what this ledger said, one line an anchor."""
    place, url = ledger_file(settings), settings.ledger.url.get_secret_value()
    if not url:
        return place.with_name(f"{place.name}.anchors")
    # A shared ledger has anchors of its own: held against this file's, each would look as if it had been replaced.
    which = digest_of(without_credentials(url))[:12]
    return place.with_name(f"{place.stem}.{which}.db.anchors")


def drop(ledger: Ledger, place: Path) -> Anchor | None:
    """Remember the newest entry, durably; None where there is none, or where it is remembered already."""
    seq, newest = ledger.tail()
    first = ledger.hashes([1]).get(1, "")
    known = read(place)
    if not seq or (known and (known[-1].first, known[-1].seq, known[-1].hash) == (first, seq, newest)):
        return None
    anchor = Anchor(first, seq, newest, datetime.now(UTC).isoformat(timespec="seconds"))
    # Whoever was killed while writing left half a line: a new one is begun, or ours would be read as its end.
    begin = b"" if not place.exists() or place.read_bytes()[-1:] in (b"", b"\n") else b"\n"
    descriptor = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "ab") as file:
        file.write(begin + json.dumps(anchor._asdict()).encode() + b"\n")
    sync(place)
    sync(place.parent)
    return anchor


def read(place: Path) -> list[Anchor]:
    """The anchors of the file; a last line that was cut off by a kill is none."""
    found = []
    for line in place.read_text().splitlines() if place.exists() else []:
        try:
            found.append(Anchor(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found


def publish(anchor: Anchor, store: "ObjectStore") -> None:
    """Let the object store remember it too."""
    store.put_json(anchor.key, anchor._asdict())


def published(first: str, store: "ObjectStore") -> list[Anchor]:
    """What the object store remembers of this ledger."""
    return [Anchor(**store.get_json(each.key)) for each in store.list(f"{PREFIX}/{first[:16]}/")]


def verify(ledger: Ledger, anchors: Iterable[Anchor]) -> Finding:
    """Hold the chain against itself, then against what others remember. Names the first entry that is wrong."""
    if bad := ledger.first_bad_entry():
        return Finding(bad, f"Entry {bad} is not what was written.")
    remembered = sorted(set(anchors), key=lambda anchor: anchor.seq)
    newest, _ = ledger.tail()
    there = ledger.hashes([1, *(anchor.seq for anchor in remembered)])
    trusted = 0
    for anchor in remembered:
        if finding := _disagreement(anchor, newest, there, trusted):
            return finding
        trusted = anchor.seq
    agree = "1 anchor agrees" if len(remembered) == 1 else f"{len(remembered)} anchors agree"
    words = f" {agree}, the newest at entry {trusted}." if remembered else " No anchor yet."
    return Finding(None, f"The audit trail is whole: {newest} entries.{words}")


def _disagreement(anchor: Anchor, newest: int, there: dict[int, str], trusted: int) -> Finding | None:
    if there.get(1) != anchor.first:
        return Finding(1, f"Entry 1 is not what it was on {anchor.at}: this ledger was written anew, or replaced.")
    if anchor.seq > newest:
        return Finding(newest + 1, f"Entry {newest + 1} is missing: on {anchor.at} there were {anchor.seq} entries.")
    if there.get(anchor.seq) != anchor.hash:
        since = f" What follows entry {trusted} was written anew." if trusted else ""
        return Finding(anchor.seq, f"Entry {anchor.seq} is not what it was on {anchor.at}.{since}")
    return None


def remembered(settings: "Settings", ledger: Ledger, say: Callable[[str], None]) -> list[Anchor]:
    """Every anchor within reach; `say` hears where the object store could not be asked."""
    from common import platform
    from common.errors import MlopsError
    from common.minio_client import ObjectStore

    found = read(anchors_file(settings))
    first = ledger.hashes([1]).get(1, "")
    if settings.minio.embedded and not platform.answers(settings, "minio"):
        say("The anchors in the object store were not looked at: the embedded platform is down.")
        return found
    try:
        found += published(first, ObjectStore(settings.minio))
    except MlopsError as error:
        say(f"The anchors in the object store were not looked at: {error.message}")
    return found
