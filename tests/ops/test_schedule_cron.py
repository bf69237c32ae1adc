"""Schedules of cron: the very line runs in cron's bare environment, and no other line of the crontab is touched."""

import json
import subprocess
from pathlib import Path

import pytest

from common.config import load_settings
from common.schedule_cron import Crontab, command
from common.schedule_entries import entries_here
from tests.ops.conftest import Machine, Receiver

OTHERS = "MAILTO=me@example.com\n5 4 * * * /bin/true # mine\n\n# no newline at the end\n1 1 * * * /bin/false"
ONLY_RUN_ALL = "schedules: {drift: {enabled: false}, retraining: {enabled: false}}\n"


def with_script(script: str, url: str = "") -> str:
    return f"""schedules:
  drift: {{enabled: false}}
  retraining: {{enabled: false}}
  run_all: {{script: {script}, heartbeat_url: "{url}"}}
"""


def line_of(table: str) -> str:
    """The one line that cron would run, after what cron itself does with it: five fields off, \\% to %."""
    (line,) = [each for each in table.splitlines() if each.startswith("0 6 * * * ")]
    return line.removeprefix("0 6 * * * ").replace("\\%", "%")


def as_cron(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/usr/bin/env", "-i", "/bin/sh", "-c", line], cwd="/", capture_output=True, text=True, timeout=120
    )


def test_the_very_line_runs_in_crons_environment_and_the_heartbeat_is_heard(
    machine: Machine, cheap_script: str, receiver: Receiver
) -> None:
    config = machine.config(with_script(cheap_script, receiver.url("secret-place")))
    assert machine.schedule("install", "--target", "cron", config=config).returncode == 0
    machine.state.mkdir()
    (machine.state / "code").write_text("0")
    line = line_of(machine.table.read_text())
    done = as_cron(line)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), "cron would mail what is printed"
    ran = json.loads((machine.state / "ran.json").read_text())
    assert ran["argv"] == ["--env", "development", "--config", str(config), "--wait-lock", "1800"]
    assert receiver.heard == ["/secret-place"]
    assert "secret-place" not in line, "the address of a heartbeat is a secret"
    assert "it ran" in (machine.state / "logs" / "schedule-run_all.log").read_text()


@pytest.mark.parametrize("code", ["1", "3", "75"])
def test_no_heartbeat_follows_a_run_that_failed_was_refused_or_found_the_lock_taken(
    machine: Machine, cheap_script: str, receiver: Receiver, code: str
) -> None:
    config = machine.config(with_script(cheap_script, receiver.url("x")))
    machine.schedule("install", "--target", "cron", config=config)
    machine.state.mkdir()
    (machine.state / "code").write_text(code)
    assert as_cron(line_of(machine.table.read_text())).returncode == int(code)
    assert receiver.heard == []


def test_the_real_run_all_is_found_and_understood_from_crons_environment(machine: Machine) -> None:
    config = machine.config(ONLY_RUN_ALL)
    machine.schedule("install", "--target", "cron", config=config)
    line = line_of(machine.table.read_text()).replace("--wait-lock 1800", "--wait-lock 1800 --list")
    assert as_cron(line).returncode == 0
    assert "uc1_01_data_ingestion_postgres" in (machine.state / "logs" / "schedule-run_all.log").read_text()


def test_a_run_that_hangs_is_ended_at_its_deadline(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_STATE_DIR", str(machine.state))
    config = machine.config(ONLY_RUN_ALL)
    (entry,) = entries_here(load_settings(config_file=config), config)
    sleeper = tmp_path / "sleep.sh"
    sleeper.write_text("sleep 60")
    line = command(entry).replace(" 14400 ", " 1 ").replace(entry.python, f"/bin/sh {sleeper}", 1)
    assert as_cron(line).returncode == 124


def test_installing_twice_changes_nothing_and_removing_restores_the_users_lines(machine: Machine) -> None:
    config = machine.config(ONLY_RUN_ALL)
    machine.table.write_text(OTHERS)
    first = machine.schedule("install", "--target", "cron", config=config)
    once = machine.table.read_text()
    again = machine.schedule("install", "--target", "cron", config=config)
    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert machine.table.read_text() == once
    assert "already" in again.stdout
    assert once.startswith(OTHERS + "\n# BEGIN mlops development in ")
    assert machine.schedule("status", "--target", "cron", config=config).stdout.split() == ["run_all", "installed"]
    assert machine.schedule("remove", "--target", "cron", config=config).returncode == 0
    assert machine.table.read_text() == OTHERS + "\n"


def test_the_block_of_another_environment_and_a_clone_with_a_longer_name_are_left_alone(machine: Machine) -> None:
    config = machine.config(ONLY_RUN_ALL)
    machine.schedule("install", "--target", "cron", config=config)
    ours = machine.table.read_text()
    other = ours.replace("in /", "in /other/")
    machine.table.write_text(other + ours)
    machine.schedule("remove", "--target", "cron", config=config)
    assert machine.table.read_text() == other


def test_a_changed_setting_shows_in_status_until_it_is_installed(machine: Machine) -> None:
    machine.schedule("install", "--target", "cron", config=machine.config(ONLY_RUN_ALL))
    changed = machine.config(
        "schedules: {drift: {enabled: false}, retraining: {enabled: false}, run_all: {cron: '1 2 * * *'}}"
    )
    seen = machine.schedule("status", "--target", "cron", config=changed)
    assert (seen.returncode, seen.stdout.strip()) == (1, "run_all      not as configured")
    machine.schedule("install", "--target", "cron", config=changed)
    assert machine.schedule("status", "--target", "cron", config=changed).returncode == 0


def test_a_block_without_an_end_is_refused_and_no_line_is_lost(machine: Machine) -> None:
    config = machine.config(ONLY_RUN_ALL)
    machine.schedule("install", "--target", "cron", config=config)
    broken = machine.table.read_text().rpartition("# END")[0] + "9 9 * * * /my/own/line\n"
    machine.table.write_text(broken)
    for action in ("install", "remove"):
        refused = machine.schedule(action, "--target", "cron", config=config)
        assert (refused.returncode, machine.table.read_text()) == (78, broken)
        assert "no proper end" in refused.stderr


def test_where_there_is_no_crontab_one_sentence_says_so(machine: Machine) -> None:
    refused = machine.schedule("install", "--target", "cron", config=machine.config(ONLY_RUN_ALL), programs=False)
    assert refused.returncode == 69
    assert refused.stderr.startswith("There is no `crontab` command on this machine. Install cron, or")
    assert len(refused.stderr.splitlines()) == 1


def test_a_script_that_is_not_there_is_refused_before_anything_is_installed(machine: Machine) -> None:
    refused = machine.schedule("install", "--target", "cron", config=machine.config(with_script("no/such.py")))
    assert refused.returncode == 78
    assert "schedules.run_all.script: there is no no/such.py" in refused.stderr
    assert not machine.table.exists()


def test_settings_of_a_command_line_are_refused_because_no_schedule_would_keep_them(machine: Machine) -> None:
    refused = machine.schedule(
        "install", "--target", "cron", "--set", "postgres.password=secret", config=machine.config(ONLY_RUN_ALL)
    )
    assert refused.returncode == 2
    assert "secret" not in refused.stderr


def test_every_schedule_has_its_own_line_deadline_and_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLOPS_STATE_DIR", str(tmp_path))
    config = tmp_path / "config.yaml"
    config.write_text("schedules: {drift: {script: run_all.py}, retraining: {script: run_all.py}}")
    settings = load_settings(config_file=config)
    text = Crontab(entries_here(settings, config), "development", "UTC").text()
    assert [line[:10] for line in text.splitlines()[2:-1]] == ["0 * * * * ", "0 2 * * * ", "0 6 * * * "]
    assert [f"-k 30 {limit} " in text for limit in (3000, 10800, 14400)] == [True] * 3
    assert text.count("--wait-lock 1800") == 3
