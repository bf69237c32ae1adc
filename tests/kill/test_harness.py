"""The harness is not blind: it counts, kills, tears and refuses where it says, and finds what is known to be wrong."""

import errno
import os
import sys
from pathlib import Path
from typing import Any

import psutil

from tests.kill.durable import violations
from tests.kill.effects import NEW, OLD, page_is_whole
from tests.kill.tracer import Harm, Outcome
from tests.kill.zygote import Job, Zygote


def run(zygote: Zygote, place: Path, name: str, *harm: Any, record: bool = False) -> Outcome:
    env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    job = Job(env, str(place.parent / "output.txt"), call=f"tests.kill.naive:{name}", arguments=(str(place),))
    return zygote.run(job, Harm(*harm) if harm else None, record)


def torn(zygote: Zygote, place: Path, name: str) -> int:
    """At how many points a reader sees half a file."""
    found = 0
    for at in range(1, run(zygote, place, name).count + 1):
        for mode in ("before", "torn", "after"):
            (place / "page.html").write_bytes(OLD)
            run(zygote, place, name, mode, at)
            try:
                page_is_whole(place)
            except AssertionError:
                found += 1
    return found


def place_in(directory: Path) -> Path:
    (directory / "place").mkdir()
    return directory / "place"


def test_a_writer_at_the_final_name_is_found_by_what_readers_see(light: Zygote, tmp_path: Path) -> None:
    place = place_in(tmp_path)
    assert torn(light, place, "in_place") >= 2, "empty after opening; half after a torn write"
    assert torn(light, place, "without_sync") == 0


def test_a_torn_write_leaves_half_of_it_and_an_earlier_kill_leaves_none(light: Zygote, tmp_path: Path) -> None:
    place = place_in(tmp_path)
    calls = run(light, place, "in_place", record=True).calls
    write = [call.name for call in calls].index("write") + 1
    sizes = {}
    for mode in ("before", "torn", "after"):
        outcome = run(light, place, "in_place", mode, write)
        assert (outcome.harmed, outcome.count, outcome.status) == (True, write, -9)
        sizes[mode] = (place / "page.html").stat().st_size
    assert sizes == {"before": 0, "torn": len(NEW) // 2, "after": len(NEW)}


def test_an_effect_that_a_repeated_run_repeats_is_found_by_comparing_the_worlds(light: Zygote, tmp_path: Path) -> None:
    place = place_in(tmp_path)
    count = run(light, place, "twice").count
    undisturbed = {path.name: path.read_text() for path in place.iterdir()}
    wrong = 0
    for at in range(1, count + 1):
        for path in place.iterdir():
            path.unlink()
        run(light, place, "twice", "after", at)
        run(light, place, "twice")
        wrong += {path.name: path.read_text() for path in place.iterdir()} != undisturbed
    assert wrong == 3, "all but the points in front of the first write"


def test_the_whole_tree_is_counted_and_dies_with_its_threads_and_sessions(light: Zygote, tmp_path: Path) -> None:
    place = place_in(tmp_path)
    made = run(light, place, "in_a_child", record=True)
    (at,) = [n for n, call in enumerate(made.calls, 1) if call.name == "write" and call.paths[0].endswith("page.html")]
    assert made.status == 0
    assert (place / "page.html").read_text() == "x" * 100
    (place / "page.html").unlink()
    assert run(light, place, "in_a_child", "torn", at).harmed
    assert (place / "page.html").read_text() == "x" * 50
    assert not [process for process in psutil.process_iter() if str(place) in _command(process)]


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_a_disk_that_refuses_is_seen_by_the_writer_and_nothing_else_is_refused(light: Zygote, tmp_path: Path) -> None:
    place = place_in(tmp_path)
    outcome = run(light, place, "in_a_child", "errno", 1, errno.ENOSPC)
    assert outcome.harmed
    assert "No space left on device" in (tmp_path / "output.txt").read_text()


def test_names_given_before_the_data_are_on_the_disk_are_found_in_the_order_of_calls(
    light: Zygote, tmp_path: Path
) -> None:
    place = place_in(tmp_path)
    early, unsettled = "named before its data were on the disk", "its directory was not synced after it got its name"
    for name, expected in (("without_sync", [early, unsettled]), ("sync_too_late", [early, unsettled])):
        found = violations(run(light, place, name, record=True).calls, str(place))
        assert [why for _, why in found] == expected, name
