"""UC1 on a table whose names no ASCII holds, from every odd shell and zone, and stopped anywhere: one world.

Wrong clocks are those of libfaketime: the one of test_clock.py does not stand the import of pandas.
"""

import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from common.ledger import Ledger
from common.paths import ROOT
from tests.conftest import EmbeddedPlatform
from tests.environments.test_shells import ASCII, from_cron, ours
from tests.environments.test_signals_any_time import SIGNALS, STOPS_WITHIN_SECONDS, code_for_a_shell
from tests.floor.conftest import wait_for
from tests.tables import public
from tests.tables.own import OwnTable
from tests.uc1.test_killed import children
from tests.uc1.universe import STEPS

pytestmark = [pytest.mark.deep, pytest.mark.timeout(1200)]
BY_FORCE = "is ended by force"  # what keeps the main thread keeps it from cleaning up: whoever comes next does
TABLE = 'shells "table" 名'


@pytest.fixture(scope="module")
def awkward(platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> OwnTable:
    """UC1 has run once; what libraries make where temporary files belong can be seen."""
    directory = tmp_path_factory.mktemp("tables")
    own = OwnTable("shells", directory, platform)
    own.load(public.awkward(directory / "awkward.csv", 900), TABLE)
    own.profile(TABLE, entity=None, dropped=["Kunden Nr."], ordered={"Région": ["Île", "Forêt"]},
                gate={"min_roc_auc": 0.6}, expectations={"required": ["label?"]})  # fmt: skip
    scratch = own.state / "tmp"
    scratch.mkdir()
    own.env["TMPDIR"] = str(scratch)
    own.results()
    return own


def seen_from(own: OwnTable, *args: str, umask: str = "077", **variables: str) -> Any:
    script = ROOT / "uc1_churn_prediction" / "run_pipeline.py"
    command = from_cron(script, {**ours(own.env), **variables}, *args, umask=umask)
    return subprocess.run(command, capture_output=True, timeout=280)


SHELLS: dict[str, dict[str, str]] = {
    "nothing at all": {}, "ASCII": ASCII, "a locale that is not installed": {"LC_ALL": "de_DE.ISO-8859-1"},
    "a home that is read-only": {"HOME": "/proc"}, "a zone that does not exist": {"TZ": "Mars/Olympus"},
    "a zone a day ahead": {"TZ": "Pacific/Apia"},
}  # fmt: skip
LIBFAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
fake_time = pytest.mark.skipif(LIBFAKETIME is None, reason="needs libfaketime (Debian's package faketime)")


@pytest.mark.parametrize("shell", SHELLS)
def test_from_every_shell_everything_is_seen_to_be_unchanged(awkward: OwnTable, shell: str) -> None:
    before = awkward.world()
    done = seen_from(awkward, "--json", **SHELLS[shell])
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count(b'"unchanged"') == 6, done.stdout
    assert awkward.world() == before


def test_made_anew_from_the_worst_of_them_it_is_the_same_world(awkward: OwnTable) -> None:
    before = awkward.world()
    done = seen_from(awkward, "--force", **ASCII, HOME="/proc", TZ="Pacific/Apia")
    assert done.returncode == 0, done.stderr[-3000:]
    assert awkward.world() == before
    newest = max(awkward.state.glob("runs/*/report.html"), key=lambda path: path.stat().st_mtime)
    assert "Région" in newest.read_text(encoding="utf-8")
    assert not [p for p in newest.parent.iterdir() if p.stat().st_mode & 0o077], "umask 077 was widened"


# Clocks


def wrong_by(shift: str) -> dict[str, str]:
    """The variables of a clock that is wrong by so much."""
    return {"LD_PRELOAD": str(LIBFAKETIME), "FAKETIME": shift}


@fake_time
@pytest.mark.parametrize("shift", ["-10m", "+10m"])
def test_a_clock_that_jumped_by_minutes_makes_nothing_new_and_made_anew_it_is_the_same_world(
    awkward: OwnTable, shift: str
) -> None:
    before = awkward.world()
    done = seen_from(awkward, "--json", **wrong_by(shift))
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count(b'"unchanged"') == 6, done.stdout
    done = seen_from(awkward, "--force", **wrong_by(shift))
    assert done.returncode == 0, done.stderr[-3000:]
    assert awkward.world() == before


@fake_time
@pytest.mark.parametrize("shift", ["-1d", "+1d"])
def test_a_clock_that_is_a_day_off_is_what_the_sentence_says(awkward: OwnTable, shift: str) -> None:
    before = awkward.world()
    done = seen_from(awkward, "--force", **wrong_by(shift))
    assert done.returncode == 78, done.stderr[-3000:]
    assert b"The clocks of this machine and of" in done.stderr
    assert b"Traceback" not in done.stderr
    assert awkward.states() == dict.fromkeys(("01", "02", "03", "04", "05", "06"), "unchanged")
    assert awkward.world() == before


# Signals


@pytest.mark.parametrize("step", STEPS)
def test_every_step_is_stopped_at_a_random_moment_and_gone_on_with(awkward: OwnTable, step: str) -> None:
    before, chance = awkward.world(), random.Random(step)
    for number in SIGNALS:
        code, run = stopped_in(awkward, step, number, chance.uniform(0, 2))
        assert code in (128 + number, 0), (awkward.state / "output.txt").read_text()[-2000:]
        assert wait_for(lambda: not children(awkward), 10)
        assert left_behind(awkward) == [] or BY_FORCE in (awkward.state / "output.txt").read_text()
        assert code == 0 or says_interrupted(awkward.state / "ledger.db", run) or is_unfinished(awkward, run)
    assert set(awkward.states().values()) <= {"unchanged", "done"}
    assert awkward.world() == before
    assert not is_unfinished(awkward, run_ids(awkward)[-2])
    assert not list(awkward.state.rglob(".tmp-*"))


def stopped_in(own: OwnTable, step: str, number: signal.Signals, delay: float) -> tuple[int, str]:
    """Run a step, send the signal `delay` seconds after its run has begun; the exit code, and the run."""
    seen = len(run_ids(own))
    (own.state / "output.txt").unlink(missing_ok=True)
    run = own.start("--force", script=f"{STEPS[step]}.py")
    assert wait_for(lambda: len(run_ids(own)) > seen or run.poll() is not None, 60)
    time.sleep(delay)
    run.send_signal(number)
    return code_for_a_shell(run.wait(STOPS_WITHIN_SECONDS)), run_ids(own)[-1]


def says_interrupted(place: Path, run_id: str) -> bool:
    """Of its step or of itself; a run that had nothing left to do may have ended before."""
    events = [event for event in Ledger(place, read_only=True).events() if event.run == run_id]
    return any(event.state == "interrupted" for event in events)


def left_behind(own: OwnTable) -> list[str]:
    """Temporary files of ours, and whatever libraries made where temporary files belong."""
    ours = [str(path) for path in own.state.rglob(".tmp-*")]
    return ours + [str(path) for path in (own.state / "tmp").iterdir()]


def run_ids(own: OwnTable) -> list[str]:
    place = own.state / "ledger.db"
    events = Ledger(place, read_only=True).events() if place.exists() else iter(())
    return [event.run for event in events if event.kind == "run_started"]


def is_unfinished(own: OwnTable, run_id: str) -> bool:
    """Stopped between two steps: the next run says of it that it was interrupted."""
    return run_id in Ledger(own.state / "ledger.db", read_only=True).unfinished_runs()
