"""A disk that is full, or fails, from some call on: exit 74 and a sentence, the old intact, and on with space."""

import errno
import json
from collections import Counter
from pathlib import Path

import pytest

from common.ledger import Ledger
from tests.floor.conftest import TOY, ToyWorld
from tests.kill.sweep import Sweep
from tests.kill.tracer import Harm, Outcome
from tests.kill.zygote import Job, Zygote


def run(zygote: Zygote, toy: ToyWorld, harm: Harm | None = None) -> Outcome:
    said = toy.path / "said.txt"
    said.unlink(missing_ok=True)
    return zygote.run(Job(toy.environment(), str(said), str(TOY / "run_pipeline.py"), seconds=60), harm)


def said(toy: ToyWorld) -> str:
    return (toy.path / "said.txt").read_text()


def world(directory: Path) -> ToyWorld:
    directory.mkdir()
    made = ToyWorld(directory)
    (made.path / "total.txt").write_text("5")
    return made


def refuse(zygote: Zygote, toy: ToyWorld, harm: Harm) -> int:
    """Run with a disk that refuses, hold what is said and left to the promise, run with space; the first one's code."""
    status = run(zygote, toy, harm).status
    words = said(toy)
    assert "Traceback" not in words
    assert (toy.path / "total.txt").read_text() in ("5", "6")
    if status:
        told = json.loads(words.splitlines()[-1])
        assert (told["code"], bool(told["cause"]), bool(told["hint"])) == (status, True, True)
    again = run(zygote, toy)
    assert again.status == 0, said(toy)
    ledger = Ledger(toy.state / "ledger.db")
    assert ledger.first_bad_entry() is None
    ledger.close()
    assert (toy.path / "total.txt").read_text() == "6"
    assert not list(toy.state.rglob(".tmp-*"))
    return status


@pytest.mark.deep
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("number", "every"), [(errno.ENOSPC, 9), (errno.EIO, 13), (errno.EDQUOT, 29), (errno.EROFS, 31)]
)
def test_a_run_on_a_disk_that_refuses_from_any_call_on_ends_with_74_and_the_next_one_ends_the_work(
    light: Zygote, tmp_path: Path, number: int, every: int
) -> None:
    count = run(light, world(tmp_path / "whole")).count
    codes = Counter()
    for at in range(1, count + 1, every):
        toy = world(tmp_path / str(at))
        try:
            codes[refuse(light, toy, Harm("errno", at, number))] += 1
        except AssertionError as error:
            raise AssertionError(f"{errno.errorcode[number]} from call {at} of {count} on: {said(toy)}") from error
    # A report or an anchor that cannot be written does not fail a run whose work is done.
    print(errno.errorcode[number], dict(codes))
    assert set(codes) <= {0, 74}
    assert codes[74] > codes[0]


@pytest.mark.deep
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["ledger, made", "ledger, appended", "file, new", "file, replaced", "lock", "anchors"])
def test_full_for_good_or_failing_once_a_reader_finds_the_old_or_the_new_and_space_mends_it(
    light: Zygote, tmp_path: Path, name: str
) -> None:
    sweep, refused = Sweep(light, name, tmp_path), 0
    for at in range(1, len(sweep.calls) + 1, 1 if len(sweep.calls) < 30 else 2):
        refused += sweep.refuse(Harm("errno", at, errno.ENOSPC)) + sweep.refuse(Harm("errno", at, errno.EIO, once=True))
    assert refused


def test_a_full_disk_leaves_the_old_file_and_no_temporary(light: Zygote, tmp_path: Path) -> None:
    sweep = Sweep(light, "file, replaced", tmp_path)
    for at in range(1, len(sweep.calls) + 1):
        sweep.refuse(Harm("errno", at, errno.ENOSPC))
