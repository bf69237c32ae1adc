"""A gate that refuses shows what it found; what has nothing to do says so; flags are shortcuts of settings."""

import json

import pytest

from common.ledger import Ledger
from tests.floor.conftest import ToyWorld
from tests.floor.test_runs import states

GATE, BOTH = "run_gate.py", "run_both.py"


def test_a_refusal_shows_its_cause_and_what_the_gate_found_wherever_a_run_is_told(toy: ToyWorld) -> None:
    run = toy.run("--version", "7", script=GATE)
    (page,) = toy.state.glob("runs/*/report.html")
    judged = json.loads(page.with_name("summary.json").read_text())["steps"][1]
    html = page.read_text()
    assert run.returncode == 3
    assert "failed" in run.stdout
    assert "Version 7 is odd. v7 was looked at" in run.stdout
    assert "Judged       http://127.0.0.1:1/v7" in run.stdout
    assert (judged["state"], judged["code"], judged["hint"]) == ("failed", 3, "Try an even one.")
    assert (judged["type"], judged["result"]) == ("Verdict", {"version": 7})
    assert all(said in html for said in ("Version 7 is odd.", "Try an even one.", "What the gate saw", "toy v7"))


def test_what_a_gate_refused_is_noted_but_never_taken_for_good(toy: ToyWorld) -> None:
    toy.run("--version", "8", script=GATE)
    toy.run("--version", "7", script=GATE)
    ledger = Ledger(toy.state / "ledger.db")
    noted = [event for event in ledger.events() if event.kind == "step_ended"][-1]
    good, latest = ledger.latest_good("gate_02_judge"), next(ledger.results("Verdict"))
    assert (noted.state, noted.result_type, noted.body["result"]) == ("failed", "Verdict", {"version": 7})
    assert noted.body["writes"][0]["name"] == "toy v7"
    assert good is not None
    assert good == latest
    assert good.body["result"] == {"version": 8}


def test_a_step_that_found_nothing_to_do_is_unchanged_although_it_ran(toy: ToyWorld) -> None:
    run = toy.run("--json", script=GATE)
    assert (run.returncode, states(run)["gate_01_look"]) == (0, "unchanged")
    assert toy.ran() == ["look", "judge"]
    assert states(toy.run("--json", "--version", "8", script=GATE))["gate_01_look"] == "done"


def test_a_step_that_left_its_work_to_a_later_run_runs_again_although_nothing_moved(toy: ToyWorld) -> None:
    toy.run("--version", "9", script="gate_01_look.py")
    assert "gate_01_look: runs (last time it left" in toy.run("--version", "9", "--dry-run", script=GATE).stdout
    toy.run("--version", "9", script="gate_01_look.py")
    assert toy.ran() == ["look", "look"]


def test_a_refusal_lets_later_pipelines_run_and_is_the_exit_code_of_all(toy: ToyWorld) -> None:
    run = toy.run("--set", "uc2.version=7", script=BOTH)
    assert run.returncode == 3
    assert toy.ran() == ["look", "judge", "01", "02", "03"]
    assert [json.loads(line)["cause"] for line in run.stderr.splitlines() if '"failed"' in line] == [
        "Version 7 is odd."
    ]


def test_every_failure_is_told_and_the_first_code_holds(toy: ToyWorld) -> None:
    toy.write("bad words")
    run = toy.run("--set", "uc2.version=7", script=BOTH)
    told = [json.loads(line) for line in run.stderr.splitlines() if '"event": "failed"' in line]
    assert run.returncode == 3
    assert [(each["code"], each["step"]) for each in told] == [(3, "gate_02_judge"), (65, "toy_01_read")]
    (traces,) = toy.state.glob("runs/*/traceback.txt")
    assert "GateRefused" in traces.read_text()
    assert "InvalidData" in traces.read_text()


@pytest.mark.parametrize(("version", "strict", "code"), [("13", "", 69), ("7", "yes", 3)])
def test_any_other_failure_and_a_stopping_gate_end_all(toy: ToyWorld, version: str, strict: str, code: int) -> None:
    run = toy.run("--set", f"uc2.version={version}", script=BOTH, TOY_STRICT=strict)
    assert run.returncode == code
    assert toy.ran() == ["look", "judge"]


def test_a_flag_is_its_setting_in_a_run_in_a_dry_run_and_for_children(toy: ToyWorld) -> None:
    flag = toy.run("--json", "--version", "8", script="gate_01_look.py")
    assert json.loads(flag.stdout)["steps"][0]["result"] == {"version": 8}
    known = toy.run("--dry-run", "--version=8", script=GATE)
    other = toy.run("--dry-run", "--version=8", "--version", "10", script=GATE)
    assert "gate_01_look: unchanged" in known.stdout
    assert "gate_01_look: runs (its inputs, settings" in other.stdout
    assert "gate_02_judge" in toy.run("--list", "--version", "8", script=GATE).stdout


def test_flags_stand_in_the_help_of_their_steps_and_of_nobody_else(toy: ToyWorld) -> None:
    for script in ("gate_02_judge.py", GATE):
        shown = toy.run("--help", script=script).stdout
        assert "what these steps take:\n  --version N" in shown
        assert "judge this one, 100% of it (the setting uc2.version)" in " ".join(shown.split())
    assert "--version" not in toy.run("--help").stdout
    assert toy.run("--version", "8", script=BOTH).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--version", "x"], 78, "The setting uc2.version is wrong"),
        (["--version", "0"], 78, "The setting uc2.version is wrong"),
        (["--version", "yes"], 78, "The setting uc2.version is wrong"),
        (["--version"], 2, "expected one argument"),
    ],
)
def test_a_bad_value_of_a_flag_is_one_sentence(toy: ToyWorld, arguments: list[str], code: int, said: str) -> None:
    for dry in ([], ["--dry-run"]):
        run = toy.run(*dry, *arguments, script=GATE)
        assert run.returncode == code
        assert said in run.stderr.splitlines()[-1]
    assert not toy.ran()
