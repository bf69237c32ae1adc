"""Runs: what is done, what is left alone, and how the end of a run reads."""

import json
from pathlib import Path

import pytest

from common.errors import UsageError
from common.ledger import Ledger
from common.pipeline import Pipeline
from common.runner import earlier, why_none
from common.settings import Settings
from common.step import Result
from tests.floor.conftest import ToyWorld
from tests.floor.toy import toy_01_read, toy_02_sum, toy_03_tell


def states(run: object) -> dict[str, str]:
    return {step["step"]: step["state"] for step in json.loads(run.stdout)["steps"]}  # type: ignore[attr-defined]


def test_a_second_run_leaves_everything_unchanged_and_runs_only_what_reads_the_world(toy: ToyWorld) -> None:
    assert toy.run().returncode == 0
    second = toy.run("--json")
    assert states(second) == {"toy_01_read": "unchanged", "toy_02_sum": "unchanged", "toy_03_tell": "unchanged"}
    assert toy.ran() == ["01", "02", "03", "01"]


def test_new_input_runs_exactly_the_steps_that_depend_on_it(toy: ToyWorld) -> None:
    toy.run()
    toy.write("1 2 3 0")  # another input with the same sum: the last step has nothing new to tell
    assert states(toy.run("--json")) == {"toy_01_read": "done", "toy_02_sum": "done", "toy_03_tell": "unchanged"}


def test_an_effect_that_vanished_from_the_world_is_seen_and_made_again(toy: ToyWorld) -> None:
    toy.run()
    (toy.path / "total.txt").unlink()
    assert states(toy.run("--json"))["toy_02_sum"] == "done"
    assert (toy.path / "total.txt").read_text() == "6"
    assert states(toy.run("--json"))["toy_02_sum"] == "unchanged"


def test_a_declared_setting_joins_the_key_and_another_does_not(toy: ToyWorld) -> None:
    toy.run()
    assert states(toy.run("--json", "--set", "uc1.golden_rows=3"))["toy_02_sum"] == "unchanged"
    assert states(toy.run("--json", "--set", "uc1.seed=7"))["toy_02_sum"] == "done"


def test_force_runs_what_is_unchanged(toy: ToyWorld) -> None:
    toy.run()
    assert set(states(toy.run("--json", "--force")).values()) == {"done"} | {"unchanged"}
    assert toy.ran() == ["01", "02", "03"] * 2


def test_a_lost_ledger_runs_everything_again(toy: ToyWorld) -> None:
    toy.run()
    (toy.state / "ledger.db").unlink()
    assert states(toy.run("--json")) == {"toy_01_read": "done", "toy_02_sum": "done", "toy_03_tell": "done"}


def test_a_damaged_ledger_is_moved_aside_and_the_run_goes_on(toy: ToyWorld) -> None:
    toy.run()
    for extra in ("-wal", "-shm"):
        (toy.state / f"ledger.db{extra}").unlink(missing_ok=True)
    (toy.state / "ledger.db").write_bytes(b"this was a database once" * 100)
    run = toy.run()
    assert run.returncode == 0
    assert "moved aside" in run.stderr
    assert list(toy.state.glob("ledger.db.broken-*"))


def test_one_step_alone_takes_the_latest_inputs_and_says_how_old_they_are(toy: ToyWorld) -> None:
    toy.run()
    alone = toy.run("--force", script="toy_02_sum.py")
    assert alone.returncode == 0
    assert '"type": "Numbers"' in alone.stderr
    assert " ago" in alone.stderr


def test_one_step_alone_without_inputs_names_the_step_to_run_first(toy: ToyWorld) -> None:
    alone = toy.run(script="toy_02_sum.py")
    assert alone.returncode == 2
    assert "toy_02_sum needs Numbers" in alone.stderr
    assert "run_pipeline.py --until 01" in alone.stderr


@pytest.mark.parametrize(
    ("source", "code", "cause"),
    [
        ("bad words", 65, "source.txt holds words; it must hold numbers."),
        ("full", 74, "The disk is full."),
        ("bug", 70, "ZeroDivisionError: nobody foresaw this"),
    ],
)
def test_a_failure_is_one_sentence_with_its_own_code_and_stops_the_run(
    toy: ToyWorld, source: str, code: int, cause: str
) -> None:
    toy.write(source)
    run = toy.run()
    said = json.loads(run.stderr.splitlines()[-1])
    assert (run.returncode, said["code"], said["cause"], said["step"]) == (code, code, cause, "toy_01_read")
    assert toy.ran() == ["01"]
    assert "Traceback" not in run.stderr
    assert "Traceback" in toy.run("-v").stderr


def test_from_step_and_until_run_a_part_and_a_wrong_number_is_refused(toy: ToyWorld) -> None:
    toy.run()
    assert list(states(toy.run("--json", "--from-step", "2", "--until", "02"))) == ["toy_02_sum"]
    refused = toy.run("--from-step", "9")
    assert refused.returncode == 2
    assert "toy has the steps 01, 02, 03" in refused.stderr


def test_a_dry_run_says_what_would_run_and_writes_nothing(toy: ToyWorld) -> None:
    before = toy.run("--dry-run")
    assert before.returncode == 0
    assert "toy_02_sum: runs (nothing good is known of it)" in before.stdout
    assert "writes: total.txt, once; and nothing else" in before.stdout
    alone = toy.run("--dry-run", script="toy_02_sum.py").stdout
    assert "would be refused: it needs Numbers, and no step has made one yet" in alone
    assert not toy.state.exists()
    toy.run()
    assert "toy_02_sum: unchanged" in toy.run("--dry-run").stdout
    assert "toy_02_sum: runs (its inputs, settings, code" in toy.run("--dry-run", "--set", "uc1.seed=8").stdout


def test_a_pipeline_whose_step_wants_what_nobody_makes_is_refused_when_declared() -> None:
    with pytest.raises(TypeError, match="toy_02_sum wants Numbers"):
        Pipeline("toy", [toy_02_sum, toy_01_read, toy_03_tell])


def test_selecting_backwards_is_refused() -> None:
    with pytest.raises(UsageError, match="comes after"):
        Pipeline("toy", [toy_01_read, toy_02_sum]).selected("02", "01")


def test_the_report_shows_every_step_escapes_what_data_say_and_loads_nothing_from_elsewhere(toy: ToyWorld) -> None:
    toy.run()
    (page,) = toy.state.glob("runs/*/report.html")
    html = page.read_text()
    assert "&lt;b&gt;total&lt;/b&gt;" in html
    assert "<b>total</b>" not in html
    assert all(name in html for name in ("toy_01_read", "toy_02_sum", "toy_03_tell"))
    assert 'src="http' not in html
    assert "<link" not in html
    assert "<script" not in html
    summary = json.loads(page.with_name("summary.json").read_text())
    assert [step["state"] for step in summary["steps"]] == ["done"] * 3


def test_the_ledger_tells_the_run_from_start_to_end(toy: ToyWorld) -> None:
    toy.run()
    events = [(event.kind, event.step) for event in Ledger(toy.state / "ledger.db").events()]
    assert events[0] == ("run_started", "")
    assert ("effect", "toy_02_sum") in events
    assert events[-1] == ("run_ended", "")


def test_a_secret_in_a_log_line_is_replaced(toy: ToyWorld) -> None:
    secret = "CANARY-5cf2b1"
    run = toy.run(MLOPS_POSTGRES__PASSWORD=secret)
    assert "telling" in run.stderr
    everything = (
        run.stderr
        + run.stdout
        + "".join(path.read_text(errors="replace") for path in toy.state.rglob("*") if path.is_file())
    )
    assert secret not in everything


def test_a_wrong_setting_is_named_and_exits_78(toy: ToyWorld) -> None:
    run = toy.run("--set", "uc1.model_nmae=x")
    assert run.returncode == 78
    assert "There is no setting uc1.model_nmae. Did you mean model_name?" in run.stderr


def test_a_secret_on_the_command_line_is_not_in_the_report(toy: ToyWorld) -> None:
    done = toy.run("--set", "postgres.password=CANARY-77ab", "--set", "ledger.url=")
    assert done.returncode == 0
    kept = [path for path in toy.state.rglob("*") if path.is_file()]
    assert all(b"CANARY" not in path.read_bytes() for path in kept)
    assert "CANARY" not in done.stdout + done.stderr


def test_another_environment_does_not_take_this_ones_results(toy: ToyWorld) -> None:
    toy.run()
    staging = toy.run("--env", "staging", script="toy_02_sum.py")
    assert staging.returncode == 2
    assert "no step has made one yet" in staging.stderr


class Thing(Result):
    """Of a table, say."""

    of: str

    def differs(self, settings: Settings) -> str:
        return "" if self.of == settings.uc1.table else f"is of {self.of}"


def test_the_newest_result_that_is_about_what_the_settings_name_is_taken_and_old_forms_are_passed_over(
    tmp_path: Path,
) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    for said in ({"of": "mine"}, {"of": "mine"}, {"form": "of an older version"}, {"of": "other"}):
        ledger.append("run", "step_ended", "step", "done", "Thing", {"result": said})
    mine, nobodys = (Settings.model_validate({"uc1": {"table": name}}) for name in ("mine", "nobodys"))
    found = earlier(ledger, Thing, mine)
    assert found is not None
    assert (found[0].seq, found[1]) == (2, Thing(of="mine"))
    assert earlier(ledger, Thing, nobodys) is None
    assert why_none(ledger, Thing, nobodys) == "the latest one is of other"
    ledger.append("run", "step_ended", "step", "done", "Thing", {"result": {"form": "of an older version"}})
    with pytest.raises(UsageError, match="another version of this code"):
        earlier(ledger, Thing, mine)
    ledger.close()


def test_a_report_that_cannot_be_written_does_not_hide_how_the_run_ended(toy: ToyWorld) -> None:
    toy.write("bad words")
    toy.state.mkdir()
    (toy.state / "runs").write_text("a file where a directory should be")
    run = toy.run()
    assert run.returncode == 65
    assert "source.txt holds words" in run.stderr
    assert "the report could not be written" in run.stderr
    ended = [event.state for event in Ledger(toy.state / "ledger.db").events() if event.kind == "run_ended"]
    assert ended == ["failed"]
