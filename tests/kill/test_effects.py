"""Killed at every mutating system call of the effect layer, and done again: readers and the end see nothing of it."""

from pathlib import Path

import pytest

from tests.kill.durable import violations
from tests.kill.sweep import Sweep
from tests.kill.zygote import Zygote


@pytest.mark.parametrize("name", ["ledger, appended", "file, new", "file, replaced", "anchors"])
def test_killed_anywhere_the_old_or_the_new_is_there_and_done_again_it_is_the_new(
    light: Zygote, tmp_path: Path, name: str
) -> None:
    sweep = Sweep(light, name, tmp_path)
    # The state in front of a call is the one behind the call before it: "after" adds only the last.
    assert sweep.kill_at_every_point(("before", "torn")) > len(sweep.calls)
    assert violations(sweep.calls, str(tmp_path)) == []
