"""prune gives space back and says what; reset deletes what is ours and nothing else."""

import os
from pathlib import Path

import pytest

from embedded import cleanup
from embedded.layout import Layout
from tests.embedded.conftest import Clone


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    made.create()
    return made


def test_prune_keeps_the_newest_runs_and_says_how_many_it_removed(layout: Layout) -> None:
    for number in range(cleanup.KEPT_RUNS + 5):
        run = layout.state / "runs" / f"run-{number:03}"
        run.mkdir(parents=True)
        (run / "report.html").write_text("a report")
        os.utime(run, (number, number))

    said = cleanup.prune(layout)

    left = sorted(path.name for path in (layout.state / "runs").iterdir())
    assert (len(left), left[0]) == (cleanup.KEPT_RUNS, "run-005")
    assert said == ["runs beyond the newest 50: 5 removed, 0.0 MB freed"]


def test_prune_cuts_a_large_log_to_its_end_and_drops_the_rotated_one(layout: Layout) -> None:
    log = layout.log("postgres")
    log.write_bytes(b"old\n" * 600_000 + b"the newest line\n")
    Path(f"{log}.1").write_text("older still")

    cleanup.prune(layout)

    assert log.stat().st_size == cleanup.KEPT_LOG_BYTES
    assert log.read_bytes().endswith(b"the newest line\n")
    assert not Path(f"{log}.1").exists()


def test_prune_drops_the_oldest_cache_entries_beyond_the_bound(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleanup, "KEPT_CACHE_BYTES", 250)
    cache = layout.state / "cache"
    cache.mkdir()
    for age, name in enumerate(("newest", "middle", "oldest")):
        (cache / name).write_bytes(b"x" * 100)
        os.utime(cache / name, (1000 - age, 1000 - age))

    cleanup.prune(layout)

    assert sorted(path.name for path in cache.iterdir()) == ["middle", "newest"]


def test_prune_with_nothing_to_do_says_so(clone: Clone) -> None:
    assert clone.embedded("prune").stderr == "nothing to remove\n"


def test_reset_asks_first_and_deletes_nothing_without_an_answer(clone: Clone) -> None:
    clone.up("--only", "git")
    done = clone.embedded("reset")

    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert (clone.state / "embedded" / "git" / "data.git").exists()


def test_reset_deletes_what_is_ours_and_keeps_what_is_not(clone: Clone) -> None:
    clone.up("--only", "git,minio")
    (clone.state / "thesis.tex").write_text("somebody put it here")
    for name in ("ledger.staging.db", "ledger.db.anchors", "alerts.jsonl"):
        (clone.state / name).write_text("of earlier runs")
    for name in ("git", "metrics"):
        (clone.state / name).mkdir()
    (clone.state / "ledger.db.broken-1").write_text("evidence")

    done = clone.embedded("reset", "--yes")

    assert done.returncode == 0
    assert sorted(path.name for path in clone.state.iterdir()) == ["ledger.db.broken-1", "thesis.tex"]
    assert "kept what is not ours" in done.stderr
    clone.up("--only", "git")


def test_reset_waits_for_no_run_but_refuses_while_one_is_going_on(clone: Clone) -> None:
    from embedded import locks

    clone.up("--only", "git")
    with locks.held(clone.state / "run.lock", 1):
        done = clone.embedded("reset", "--yes")

    assert done.returncode == 75
    assert (clone.state / "addresses.yaml").exists()


def test_broken_configuration_keeps_nobody_from_stopping(clone: Clone) -> None:
    assert clone.embedded("up", MLOPS_POSTGRES__PROT="5432").returncode == 78
    assert clone.embedded("down", MLOPS_POSTGRES__PROT="5432").returncode == 0
