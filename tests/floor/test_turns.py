"""Several pipelines in one run: in order, again where something was proposed, and what a failure takes with it."""

import json

import pytest

from common.config import load_settings
from common.doctor import examine
from common.errors import UsageError
from common.turns import chosen, configured
from run_all import TURNS as ALL
from tests.floor.conftest import ToyWorld

TURNS = "run_turns.py"
EVEN, ODD = "1 2 3", "1 2 4"


def told(toy: ToyWorld, *args: str) -> tuple[int, list[tuple[str, str]]]:
    """Exit code, and the step numbers with their states in the order of the run."""
    run = toy.run("--json", *args, script=TURNS)
    return run.returncode, [(step["step"][:7], step["state"]) for step in json.loads(run.stdout)["steps"]]


GATES = [("gate_01", "done"), ("gate_02", "done")]
TOYS = [("toy_01_", "done"), ("toy_02_", "done"), ("toy_03_", "done")]


def test_a_pipeline_has_a_second_turn_only_where_something_was_proposed(toy: ToyWorld) -> None:
    assert told(toy, "--set", "uc2.version=8") == (0, [*GATES, *TOYS, ("toy_03_", "unchanged")])
    toy.write(ODD)
    code, steps = told(toy, "--set", "uc2.version=8")
    assert code == 0
    assert [name for name, _ in steps] == [
        "gate_01", "gate_02", "toy_01_", "toy_02_", "toy_03_", "gate_01", "gate_02", "toy_03_",
    ]  # fmt: skip


def test_a_refused_pipeline_takes_only_those_with_it_that_stand_on_it(toy: ToyWorld) -> None:
    code, steps = told(toy, "--set", "uc2.version=7")
    assert code == 3
    assert steps == [("gate_01", "done"), ("gate_02", "failed"), *TOYS, ("toy_03_", "skipped")]
    assert "gate was refused in this run" in toy.run("--set", "uc2.version=7", script=TURNS).stdout


def test_a_failure_ends_the_run_unless_it_was_told_to_keep_going(toy: ToyWorld) -> None:
    toy.write("bad words")
    failed = [*GATES, ("toy_01_", "failed")]
    assert told(toy, "--set", "uc2.version=8") == (65, failed)
    code, steps = told(toy, "--set", "uc2.version=8", "--keep-going")
    assert code == 65
    assert [state for name, state in steps if name == "toy_03_"] == ["failed"], "it stands on the gate, not on the toy"


def test_parts_of_several_pipelines_go_by_name(toy: ToyWorld) -> None:
    assert told(toy, "--from-step", "toy", "--until", "toy_02") == (0, TOYS[:2])
    wrong = toy.run("--from-step", "uc9", script=TURNS)
    assert wrong.returncode == 2
    assert "no step begins so; there are those of gate, toy" in wrong.stderr
    assert toy.run("--from-step", "toy_02", "--until", "gate_01", "--dry-run", script=TURNS).returncode == 0
    assert toy.run("--from-step", "toy_02", "--until", "toy_01", script=TURNS).returncode == 2


def test_until_a_pipeline_with_two_turns_ends_after_the_first_that_is_not_over_yet() -> None:
    from run_all import TURNS as ALL

    def names(from_step: str | None, until: str) -> list[str]:
        return [step.name[:6] for _, steps in chosen(ALL, from_step, until) for step in steps]

    uc2 = ["uc2_01", "uc2_02", "uc2_03"]
    assert names("uc2", "uc2") == uc2
    assert names(None, "uc2")[-4:] == ["uc1_06", *uc2]
    assert names("uc2_02", "uc2_02") == ["uc2_02"]
    assert names("uc3", "uc2") == ["uc3_01", "uc3_02", *uc2]
    with pytest.raises(UsageError, match="comes after"):
        names("uc6", "uc2")


def test_each_step_is_listed_and_planned_once(toy: ToyWorld) -> None:
    for flag in ("--list", "--dry-run"):
        lines = [line for line in toy.run(flag, script=TURNS).stdout.splitlines() if not line.startswith(" ")]
        assert [line[:7] for line in lines] == ["gate_01", "gate_02", "toy_01_", "toy_02_", "toy_03_"]


@pytest.mark.parametrize("seconds", ["0.000001", "1.5"])
def test_a_run_that_takes_too_long_ends_with_its_own_code(toy: ToyWorld, seconds: str) -> None:
    run = toy.run("--deadline", seconds, TOY_SLEEP="30")
    assert run.returncode == 124
    assert f"The run did not end within {float(seconds):g} s." in run.stderr


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_run_all_leaves_lineage_out_where_no_server_is_named_and_asks_one_that_is(environment: str) -> None:
    everything = [turn.name for turn in ALL]
    for url, names in (
        ("", [each for each in everything if each != "uc4"]),
        ("https://marquez.example.com", everything),
    ):
        given = (f"marquez.url={url}",) if url else ()
        settings = load_settings(environment, overrides=given)
        assert [turn.name for turn, _ in configured(chosen(ALL, None, None), settings)] == names
    alone = chosen(ALL, "uc4", None)
    assert configured(alone, load_settings(environment)) == alone, "its step says what is missing"


def test_doctor_asks_no_lineage_server_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("common.doctor._look", lambda _tools, name: asked.append(name))
    examine(load_settings("staging"))
    assert "postgres" in asked
    assert "marquez" not in asked
