"""Killed at every mutating system call of the effect layer, and done again: readers and the end see nothing of it."""

import os
from pathlib import Path

import pytest

from tests.kill.durable import violations
from tests.kill.sweep import Sweep
from tests.kill.zygote import Job, Zygote


@pytest.mark.parametrize("name", ["ledger, appended", "file, new", "file, replaced"])
def test_killed_anywhere_the_old_or_the_new_is_there_and_done_again_it_is_the_new(
    light: Zygote, tmp_path: Path, name: str
) -> None:
    sweep = Sweep(light, name, tmp_path)
    # The state in front of a call is the one behind the call before it: "after" adds only the last.
    assert sweep.kill_at_every_point(("before", "torn")) > len(sweep.calls)
    assert violations(sweep.calls, str(tmp_path)) == []


def test_looking_which_version_runs_takes_no_lock_in_the_users_checkout(light: Zygote, tmp_path: Path) -> None:
    env, said = {"PATH": os.environ["PATH"]}, str(tmp_path / "output.txt")
    job = Job(env, said, call="common.code_version:code_version")
    named = [path for call in light.run(job, record=True).calls for path in call.paths]
    assert [path for path in named if path.startswith("/") and not path.startswith("/dev/")] == []
