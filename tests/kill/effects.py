"""The effect layer, an operation at a time: what each does in a directory of its own, and what the world then is.

`act` runs in a traced child; `prepare`, `world` and `whole` run in the test. Acting twice leaves the same world.
"""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from common import anchors
from common.config import load_settings
from common.git_client import Change, GitRepository
from common.ledger import Ledger
from common.lock import run_lock
from common.minio_client import ObjectStore
from common.paths import state_dir
from common.publish import sweep_temporaries, write_atomically
from common.registry import Registry
from common.report import Run, write_report
from common.runner import Outcome
from common.settings import Git, Settings
from tests.floor.toy.results import Total
from tests.floor.toy.run_pipeline import PIPELINE as TOY

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


# The report


def report(place: Path) -> None:
    """As a run's end writes it: summary, page, index."""
    steps = tuple(Outcome(each, "done", 0.1, Total(total=6)) for each in TOY.steps[:1])
    run = Run("20260101T000000Z-0000", ["toy"], AT, 1.0, steps, 0, Settings())
    write_report(run, place / "runs" / run.run_id, lambda _uri: b"")


def pages(place: Path) -> Any:
    for directory in (place / "runs", *(place / "runs").glob("*")):
        sweep_temporaries(directory)
    return {str(path.relative_to(place)): path.read_text() for path in place.rglob("*") if path.is_file()}


def pages_are_whole(place: Path) -> None:
    for path in place.rglob("[!.]*.html"):
        assert path.read_text().rstrip().endswith("</html>"), path
    for path in place.rglob("[!.]*.json"):
        assert json.loads(path.read_text())["run"]


# Services: `place` is a state directory that knows the platform's addresses


def with_addresses(place: Path) -> None:
    shutil.copy(state_dir() / "addresses.yaml", place)


def of(place: Path) -> str:
    """A name that no other point has."""
    return hashlib.sha256(str(place).encode()).hexdigest()[:12]


def store(place: Path) -> None:
    """As a snapshot is stored: the object by its digest, then what points to it."""
    bucket = ObjectStore(load_settings().minio)
    (place / "snapshot").write_bytes(NEW)
    stored = bucket.publish(f"kill/{of(place)}/{'d' * 64}.bin", place / "snapshot")
    bucket.put_json(f"kill/{of(place)}/latest.json", {"sha256": stored.sha256})


def objects(place: Path) -> Any:
    bucket = ObjectStore(load_settings().minio)
    return [(each.key.rpartition("/")[2], each.etag) for each in bucket.list(f"kill/{of(place)}/")]


def objects_are_whole(place: Path) -> None:
    bucket = ObjectStore(load_settings().minio)
    for each in bucket.list(f"kill/{of(place)}/"):
        assert each.key.endswith(".json") or bucket.get_bytes(each.key) == NEW


def register(place: Path) -> None:
    """As training does: one run, one version of it, and the aliases that follow."""
    registry, name = Registry(load_settings().mlflow), of(place)
    run_id, source = registry.record_run(
        name, "key", name="run", parameters={"depth": 3}, metrics={"roc_auc": 0.8}, tags={}, files=place,
        log_model=_external_model,
    )  # fmt: skip
    tags = {"state": "proposed", "digest": "d" * 64, "gate": "passed", "gate_digest": "d" * 64}
    registry.register(name, "key", run_id=run_id, source=source, tags=tags)
    registry.settle(name)


def _external_model() -> str:
    import mlflow

    return f"models:/{mlflow.create_external_model('model').model_id}"


def registered(place: Path) -> Any:
    """One run and one version, whatever was lost on the way."""
    registry, name = Registry(load_settings().mlflow), of(place)
    experiment = registry.client.get_experiment_by_name(name).experiment_id
    runs = [run.info.status for run in registry.client.search_runs([experiment])]
    versions = [(version.version, version.state, version.gate) for version in registry.versions(name)]
    return runs, versions, dict(registry.client.get_registered_model(name).aliases)


EFFECTS = {
    "ledger, made": Effect(nothing, note, entries, is_readable),
    "ledger, appended": Effect(with_a_past, note, entries, is_readable),
    "file, new": Effect(nothing, replace, page, page_is_whole),
    "file, replaced": Effect(with_a_page, replace, page, page_is_whole),
    "lock": Effect(nothing, hold, page, page_is_whole),
    "anchors": Effect(with_a_past, drop, remembered, is_readable),
    "git, first commit": Effect(with_a_remote, promote, history, is_cloneable),
    "git, next commit": Effect(with_a_commit, promote, history, is_cloneable),
    "report": Effect(nothing, report, pages, pages_are_whole),
    "object store": Effect(with_addresses, store, objects, objects_are_whole),
    "registry": Effect(with_addresses, register, registered, nothing),
}
