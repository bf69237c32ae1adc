"""Schedules of systemd and Kubernetes, their times and their heartbeat."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from common.config import load_settings
from common.cron_expression import calendar, checked
from common.errors import ConfigError, Unavailable
from common.heartbeat import ping
from common.schedule_entries import entries_in_image
from common.schedule_k8s import CronJobs
from tests.ops.conftest import Machine, Receiver

ONLY_RUN_ALL = "schedules: {drift: {enabled: false}, retraining: {enabled: false}}\n"
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")


def units(machine: Machine) -> dict[str, str]:
    place = machine.home / ".config" / "systemd" / "user"
    return {path.name: path.read_text() for path in place.iterdir()}


def test_timers_are_written_once_started_and_removed(machine: Machine) -> None:
    config = machine.config(ONLY_RUN_ALL)
    assert machine.schedule("install", "--target", "systemd", config=config).returncode == 0
    service, timer = (units(machine)[name] for name in sorted(units(machine)))
    assert "--wait-lock 1800\nExecStartPost=-" in service
    assert "TimeoutStartSec=14400" in service
    assert "OnCalendar=*-*-* 06:00:00 UTC" in timer
    assert machine.schedule("status", "--target", "systemd", config=config).returncode == 0
    assert "already" in machine.schedule("install", "--target", "systemd", config=config).stdout
    calls = machine.calls.read_text()
    assert (calls.count("daemon-reload"), calls.count("enable --now mlops-development-")) == (1, 2)
    machine.schedule("remove", "--target", "systemd", config=config)
    assert units(machine) == {}
    assert "disable --now" in machine.calls.read_text()


def test_a_schedule_that_is_switched_off_loses_its_timer(machine: Machine) -> None:
    machine.schedule("install", "--target", "systemd", config=machine.config(ONLY_RUN_ALL))
    off = machine.config(ONLY_RUN_ALL.replace("}}", "}, run_all: {enabled: false}}"))
    machine.schedule("install", "--target", "systemd", config=off)
    assert units(machine) == {}


@needs_systemd
def test_systemd_itself_accepts_the_units_also_with_odd_paths(machine: Machine) -> None:
    machine.schedule("install", "--target", "systemd", config=machine.config(ONLY_RUN_ALL))
    machine.state.mkdir(exist_ok=True)
    files = [str(path) for path in (machine.home / ".config" / "systemd" / "user").iterdir()]
    done = subprocess.run([str(ANALYZE), "--man=no", "verify", *files], capture_output=True, text=True, timeout=60)
    complaints = [line for line in done.stderr.splitlines() if "mlops-" in line]
    assert complaints == []


def test_without_systemctl_one_sentence_says_so(machine: Machine) -> None:
    refused = machine.schedule("install", "--target", "systemd", config=machine.config(ONLY_RUN_ALL), programs=False)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (69, 1)
    assert "There is no `systemctl` command" in refused.stderr


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("0 * * * *", "*-*-* *:00:00 UTC"),
        ("0 2 * * *", "*-*-* 02:00:00 UTC"),
        ("*/15 1-5 1,15 * *", "*-*-01,15 01..5:0/15:00 UTC"),
        ("30 7 * * 1-5", "Mon,Tue,Wed,Thu,Fri *-*-* 07:30:00 UTC"),
        ("0 0 * * 0,6", "Sat,Sun *-*-* 00:00:00 UTC"),
        ("0 0 * * 7", "Sun *-*-* 00:00:00 UTC"),
    ],
)
def test_cron_and_systemd_mean_the_same_moments(expression: str, wanted: str) -> None:
    assert calendar(checked(expression), "UTC").replace("00/15", "0/15") == wanted


@needs_systemd
def test_systemd_understands_every_expression_that_we_accept() -> None:
    expressions = [
        "0 * * * *",
        "*/15 1-5 1,15 * *",
        "5 0 * 2-12/2 *",
        "30 7 * * 1-5",
        "0-30/10 * * * */2",
        "1,2 */6 3-9/3 * *",
    ]
    said = [calendar(checked(each), "UTC") for each in expressions]
    done = subprocess.run([str(ANALYZE), "calendar", *said], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Normalized form") == len(said)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("0 2 * *", "4 fields"),
        ("60 * * * *", "'60' is no minute"),
        ("0 24 * * *", "'24' is no hour"),
        ("0 0 0 * *", "'0' is no day of the month"),
        ("0 0 * JAN *", "'JAN' is no month"),
        ("5-1 * * * *", "it never comes"),
        ("*/0 * * * *", "it never comes"),
        ("5/10 * * * *", "a step needs a range"),
        ("0 0 1 * 1", "leave one a \\*"),
        ("@daily", "1 fields"),
        ("0 0 * * * root; rm -rf /", "fields"),
    ],
)
def test_an_expression_that_the_three_would_not_understand_alike_is_refused(expression: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked(expression)
    with pytest.raises(ConfigError, match=r"schedules\.drift\.cron"):
        load_settings(overrides=(f"schedules.drift.cron={expression}",))


@given(st.text(alphabet="0123456789*/-, @JAN\n%;", max_size=24))
def test_what_is_accepted_can_be_written_into_a_line(text: str) -> None:
    try:
        accepted = checked(text)
    except ValueError:
        return
    assert set(accepted) <= set("0123456789*/-, ")
    assert len(calendar(accepted, "UTC").split()) in (3, 4)


def cron_jobs() -> list[dict[str, Any]]:
    settings = load_settings()
    return list(yaml.safe_load_all(CronJobs(entries_in_image(settings), settings).text()))


def test_cron_jobs_never_overlap_never_start_late_and_end_in_time() -> None:
    jobs = cron_jobs()
    assert [job["metadata"]["name"] for job in jobs] == ["mlops-drift", "mlops-retraining", "mlops-run-all"]
    for job in jobs:
        spec, inner = job["spec"], job["spec"]["jobTemplate"]["spec"]
        assert (spec["concurrencyPolicy"], spec["timeZone"], spec["startingDeadlineSeconds"]) == ("Forbid", "UTC", 1800)
        assert inner["activeDeadlineSeconds"] in (3000, 10800, 14400)
        assert inner["backoffLimit"] == 0


def test_a_cron_jobs_heartbeat_follows_its_run_and_neither_needs_a_shell() -> None:
    for job in cron_jobs():
        pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        ((run,), (heartbeat,)) = pod["initContainers"], pod["containers"]
        assert run["command"][0] == heartbeat["command"][0] == "python", "SIGTERM must reach the run itself"
        assert run["command"][-2:] == ["--wait-lock", "1800"]
        assert heartbeat["command"][1:5] == ["-m", "common", "schedule", "ping"]


def test_the_laptop_refuses_to_install_cron_jobs_and_says_what_to_do(machine: Machine) -> None:
    refused = machine.schedule("install", "--target", "k8s", config=machine.config(""))
    assert refused.returncode == 78
    assert "The laptop's platform runs no CronJobs" in refused.stderr


def test_a_heartbeat_is_tried_again_and_a_lost_one_names_no_secret(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "0")
    receiver.answers = [503, 200]
    ping(receiver.url("CANARY"))
    assert len(receiver.heard) == 2
    receiver.answers = [404]
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1 was not taken \(404\)") as lost:
        ping(receiver.url("CANARY"))
    assert "CANARY" not in str(lost.value)


def test_pinging_without_an_address_is_no_failure_and_an_unknown_schedule_is(machine: Machine, tmp_path: Path) -> None:
    config = machine.config("")
    assert machine.schedule("ping", "drift", config=config).returncode == 0
    unknown = machine.schedule("ping", "nightly", config=config)
    assert (unknown.returncode, "drift, retraining, run_all" in unknown.stderr) == (2, True)
