"""The effect layer, an operation at a time: what each does in a directory of its own, and what the world then is.

`act` runs in a traced child; `prepare`, `world` and `whole` run in the test. Acting twice leaves the same world.
"""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from common import anchors
from common.git_client import Change, GitRepository
from common.ledger import Ledger
from common.lock import run_lock
from common.publish import sweep_temporaries, write_atomically
from common.settings import Git

OLD, NEW = b"old " * 500, b"new " * 3000
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
FILES = {"base/a.yaml": "a: 1\n", "overlays/production/b.yaml": "b: 1\n"}

World = Callable[[Path], Any]


class Effect(NamedTuple):
    """`whole` is asserted right after a kill, before anybody mends anything."""

    prepare: Callable[[Path], Any]
    act: Callable[[Path], Any]
    world: World
    whole: Callable[[Path], Any]


def act(name: str, place: str) -> None:
    """What the traced child calls."""
    EFFECTS[name].act(Path(place))


def nothing(_: Path) -> None:
    """Nothing to prepare, or nobody who reads."""


# The ledger


def note(place: Path) -> None:
    """As the runner does: an end of a step is written once."""
    ledger = Ledger(place / "ledger.db")
    if ledger.latest_good("step") is None:
        ledger.append("run", "step_ended", "step", "done", "Thing", {"key": "k" * 3000})
    ledger.close()


def with_a_past(place: Path) -> None:
    ledger = Ledger(place / "ledger.db")
    for number in range(3):
        ledger.append(f"run{number}", "run_started")
    ledger.close()


def entries(place: Path) -> Any:
    """Its entries without times and hashes. A ledger that was moved aside as broken would miss the past."""
    ledger = Ledger(place / "ledger.db")
    found = [(event.run, event.kind, event.step, event.state, event.body) for event in ledger.events()]
    assert ledger.first_bad_entry() is None
    ledger.close()
    assert not list(place.glob("*.broken-*")), "a kill is no reason to take a ledger for damaged"
    return found


def is_readable(place: Path) -> None:
    """A reader who may not repair anything finds a whole chain, whenever he looks; before the first entry, nothing."""
    if not (place / "ledger.db").exists():
        return
    ledger = Ledger(place / "ledger.db", read_only=True)
    assert ledger.first_bad_entry() is None
    ledger.close()


# Files


def replace(place: Path) -> None:
    write_atomically(place / "page.html", NEW)


def with_a_page(place: Path) -> None:
    (place / "page.html").write_bytes(OLD)


def page(place: Path) -> Any:
    """After a sweep, as the lock's next holder does it."""
    sweep_temporaries(place)
    return {path.name: path.read_bytes() for path in place.iterdir()}


def page_is_whole(place: Path) -> None:
    found = place / "page.html"
    assert not found.exists() or found.read_bytes() in (OLD, NEW), "a reader sees half a file"


# Lock and anchors


def hold(place: Path) -> None:
    """A run's frame; MLOPS_STATE_DIR leads to `place`."""
    with run_lock("run", "command"):
        write_atomically(place / "page.html", NEW)


def drop(place: Path) -> None:
    ledger = Ledger(place / "ledger.db")
    anchors.drop(ledger, place / "ledger.db.anchors")
    ledger.close()


def remembered(place: Path) -> Any:
    """Whom the anchors file names: a torn last line is none, and does not spoil the one that comes after it."""
    ledger = Ledger(place / "ledger.db")
    known = anchors.read(place / "ledger.db.anchors")
    finding = anchors.verify(ledger, known)
    ledger.close()
    assert finding.entry is None, finding.sentence
    return [(anchor.first, anchor.seq, anchor.hash) for anchor in known] != [], finding.sentence


# git


def with_a_remote(place: Path) -> None:
    subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", str(place / "remote.git")], check=True)


def with_a_commit(place: Path) -> None:
    with_a_remote(place)
    _publish(place, {"base/a.yaml": "a: 0\n"}, "begin\n")


def promote(place: Path) -> None:
    _publish(place, FILES, "promote\n")


def _publish(place: Path, files: dict[str, str], message: str) -> None:
    repository = GitRepository(Git(deployments_url=(place / "remote.git").as_uri()), place / "git")
    repository.publish(lambda _head: Change(files, message, AT))


def history(place: Path) -> Any:
    """Commits and their hashes, and a repository that is whole."""
    git = ["git", "-C", str(place / "remote.git")]
    subprocess.run([*git, "fsck", "--strict"], check=True, capture_output=True)
    done = subprocess.run([*git, "log", "--format=%H %s", "main"], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def is_cloneable(place: Path) -> None:
    """Somebody who clones right now gets all of the old head or all of the new one."""
    git = ["git", "-C", str(place / "remote.git")]
    done = subprocess.run([*git, "rev-list", "--objects", "--all"], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr


EFFECTS = {
    "ledger, made": Effect(nothing, note, entries, is_readable),
    "ledger, appended": Effect(with_a_past, note, entries, is_readable),
    "file, new": Effect(nothing, replace, page, page_is_whole),
    "file, replaced": Effect(with_a_page, replace, page, page_is_whole),
    "lock": Effect(nothing, hold, page, page_is_whole),
    "anchors": Effect(with_a_past, drop, remembered, is_readable),
    "git, first commit": Effect(with_a_remote, promote, history, is_cloneable),
    "git, next commit": Effect(with_a_commit, promote, history, is_cloneable),
}
