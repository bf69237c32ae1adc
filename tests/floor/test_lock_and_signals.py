"""Two runs, killed runs, slow runs: one at a time, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys

import psutil
import pytest

from common.ledger import Ledger
from tests.floor.conftest import ToyWorld, wait_for


def started(toy: ToyWorld) -> bool:
    return wait_for((toy.path / "started").exists)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_second_run_exits_75_names_the_holder_and_changes_nothing(toy: ToyWorld) -> None:
    first = toy.start(TOY_SLEEP="30")
    assert started(toy)
    ran = toy.ran()
    second = toy.run()
    assert second.returncode == 75
    assert f"pid {first.pid}" in second.stderr
    assert toy.ran() == ran
    first.kill()
    first.communicate()


def test_a_waiting_run_goes_on_when_the_first_ends(toy: ToyWorld) -> None:
    first = toy.start(TOY_SLEEP="2")
    assert started(toy)
    assert toy.run("--wait-lock", "30").returncode == 0
    assert first.wait() == 0
    first.communicate()


@pytest.mark.deep
def test_of_many_simultaneous_starts_exactly_one_runs(toy: ToyWorld) -> None:
    runs = [toy.start(TOY_SLEEP="8") for _ in range(8)]
    codes = sorted(run.wait() for run in runs)
    for run in runs:
        run.communicate()
    assert codes == [0] + [75] * 7


def test_after_a_kill_the_next_run_starts_at_once_ends_the_orphan_and_finishes_the_work(toy: ToyWorld) -> None:
    first = toy.start(TOY_SLEEP="60", TOY_CHILD="1")
    assert started(toy)
    orphan = int((toy.path / "child.pid").read_text())
    first.kill()
    first.communicate()
    assert not gone(orphan)
    second = toy.run()
    assert second.returncode == 0
    assert wait_for(lambda: gone(orphan))
    assert (toy.path / "total.txt").read_text() == "6"
    ended = [event.state for event in Ledger(toy.state / "ledger.db").events() if event.kind == "run_ended"]
    assert ended == ["interrupted", "done"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_the_run_cleanly_with_its_own_code(toy: ToyWorld, number: signal.Signals, code: int) -> None:
    run = toy.start(TOY_SLEEP="60")
    assert started(toy)
    run.send_signal(number)
    _, errors = run.communicate(timeout=15)
    assert run.returncode == code
    assert json.loads(errors.splitlines()[-1])["code"] == code
    events = list(Ledger(toy.state / "ledger.db").events())
    assert [event.state for event in events if event.step == "toy_02_sum"][-1] == "interrupted"
    assert not list(toy.path.glob(".tmp-*"))
    assert toy.run().returncode == 0


def test_what_a_killed_run_left_in_the_caches_is_swept_by_the_next(toy: ToyWorld) -> None:
    cache = toy.state / "cache"
    for name in (caches := ("data_docs", "features", "snapshots")):
        (cache / name / ".tmp-killed").mkdir(parents=True)
        (cache / name / ".tmp-killed" / "snapshot.parquet").write_bytes(b"customers")
        (cache / name / ".tmp-download").write_bytes(b"half")
        (cache / name / "whole.parquet").write_bytes(b"whole")
    assert toy.run().returncode == 0
    assert sorted(path.name for path in cache.rglob("*") if path.is_file()) == ["whole.parquet"] * len(caches)


def test_a_step_over_its_deadline_exits_124_and_says_which(toy: ToyWorld) -> None:
    run = toy.run(TOY_SLEEP="60", TOY_DEADLINE="1")
    assert run.returncode == 124
    assert "toy_02_sum did not end within 1 s." in run.stderr


@pytest.mark.parametrize("last_words", ["print('last words', code, flush=True)", "time.sleep(60)", "1 / 0"])
def test_a_signal_ends_even_a_step_that_never_comes_back_whatever_keeps_the_ledger(
    toy: ToyWorld, last_words: str
) -> None:
    # A handler that does nothing stands in for a C library that retries on EINTR: the main thread never hears of it.
    deaf = (
        "import time\n"
        "import common.watch\n"
        "common.watch.GRACE_SECONDS = 1.0\n"
        "common.watch._interrupt = lambda number, frame: None\n"
        f"with common.watch.Watch(lambda code: {last_words}).running():\n"
        "    print('ready', flush=True)\n"
        "    end = time.monotonic() + 60\n"
        "    while time.monotonic() < end:\n"
        "        time.sleep(0.1)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", deaf], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=toy.environment()
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    os.kill(child.pid, signal.SIGTERM)
    said, errors = child.communicate(timeout=20)
    assert child.returncode == 143
    assert "ended by force" in errors
    assert ("last words 143" in said) == last_words.startswith("print")
