"""Killed services, killed shims, broken services: what comes back, and what is said when nothing does."""

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from embedded import units
from embedded.layout import Layout
from tests.embedded.conftest import Clone, until
from tests.embedded.test_lifecycle import processes_of


def data_directory(clone: Clone) -> Path:
    return clone.state / "embedded" / "postgres"


def test_killed_postgres_comes_back_with_every_committed_row(pair: Clone) -> None:
    pair.query("CREATE TABLE survives AS SELECT generate_series(1, 1000) AS n")
    killed = pair.kill("postgres")

    assert until(lambda: pair.query("SELECT count(*) FROM survives") == [(1000,)])
    assert pair.record("postgres").pid != killed
    assert pair.record("postgres").restarts >= 1


def test_killed_store_comes_back_on_its_port_and_takes_writes(pair: Clone) -> None:
    before = pair.addresses()["minio"]
    killed = pair.kill("minio")

    assert until(lambda: pair.record("minio").pid not in (None, killed))
    pair.up()
    pair.put("/mlops/after", b"z" * 5000)
    assert pair.addresses()["minio"] == before


def test_services_die_with_their_killed_shims_and_the_next_up_has_the_data_and_ports(pair: Clone) -> None:
    pair.query("CREATE TABLE orphaned AS SELECT 7 AS seven")
    before = pair.addresses()
    for name in ("postgres", "minio"):
        os.kill(pair.record(name).shim, signal.SIGKILL)

    assert until(lambda: not processes_of(pair)), "nobody supervises them, so they must not live on"
    pair.up()
    assert pair.query("SELECT seven FROM orphaned") == [(7,)]
    assert pair.addresses() == before


def test_up_right_after_killed_shims_waits_for_what_they_left(pair: Clone) -> None:
    before = pair.addresses()
    for name in ("postgres", "minio"):
        os.kill(pair.record(name).shim, signal.SIGKILL)

    pair.up()

    assert pair.addresses() == before, "the dying services still held the ports; stepping around them was wrong"


def test_service_whose_port_a_stranger_took_while_it_was_down_moves_to_another(pair: Clone) -> None:
    record = pair.record("postgres")
    os.kill(record.shim, signal.SIGSTOP)  # so that the stranger is faster
    pair.kill("postgres")
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        assert until(lambda: not _listens_on(record.port))
        stranger.bind(("127.0.0.1", record.port))
        stranger.listen()
        os.kill(record.shim, signal.SIGCONT)
        assert until(lambda: pair.record("postgres").failures > 1)
        pair.up()

    assert pair.addresses()["postgres"]["port"] != record.port
    assert pair.query("SELECT 1") == [(1,)]


def _listens_on(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.deep
def test_stranger_with_the_pid_in_postmaster_pid_does_not_keep_postgres_down(pair: Clone) -> None:
    pair.embedded("down")
    account = data_directory(pair).stat().st_uid
    stranger = subprocess.Popen(["sleep", "60"], user=account if os.geteuid() == 0 else None)
    pid_file = data_directory(pair) / "postmaster.pid"
    pid_file.write_text(f"{stranger.pid}\n{data_directory(pair)}\n")
    try:
        pair.up()
        assert stranger.poll() is None, "the stranger is none of our business"
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.deep
def test_data_of_another_major_version_are_refused_untouched(pair: Clone) -> None:
    pair.embedded("down")
    version = data_directory(pair) / "PG_VERSION"
    real = version.read_text()
    version.write_text("17\n")
    try:
        done = pair.embedded("up", "--only", "postgres")
        assert done.returncode == 78
        assert "are of PostgreSQL 17, the installed programs are" in done.stderr
    finally:
        version.write_text(real)
    pair.up()


def test_service_that_cannot_start_ends_up_with_69_and_its_last_words_without_secrets(pair: Clone) -> None:
    pair.embedded("down")
    secret = (pair.state / "secrets" / "postgres").read_text()
    extra = data_directory(pair) / "postgresql.auto.conf"
    real = extra.read_text()
    extra.write_text(f"no_such_setting = '{secret}'\n")
    try:
        done = pair.embedded("up", "--only", "postgres")
        assert done.returncode == 69
        assert "The embedded postgres did not become healthy" in done.stderr
        assert "no_such_setting" in done.stderr
        assert secret not in done.stderr
    finally:
        extra.write_text(real)
    pair.up()


@pytest.mark.deep
def test_deleted_state_directory_ends_its_services(clone: Clone) -> None:
    clone.up("--only", "postgres")
    assert processes_of(clone)

    shutil.rmtree(clone.state)

    assert until(lambda: not processes_of(clone)), "nobody could ever stop them again"


@pytest.fixture
def supervised(tmp_path: Path) -> Callable[[str], tuple[Layout, units.Record]]:
    """A toy service under a real shim."""
    layout = Layout(tmp_path)
    layout.create()

    def start(code: str) -> tuple[Layout, units.Record]:
        from embedded.ports import Reservation

        program = units.Program("toy", (sys.executable, "-c", code), str(tmp_path), stop_seconds=1)
        units.launch(layout, program, Reservation(0, None))
        record = units.running(layout, "toy")
        assert record
        return layout, record

    return start


def test_log_is_rotated_while_the_service_runs(supervised: Callable[[str], tuple[Layout, units.Record]]) -> None:
    chatter = "import time\nwhile True: print('x' * 100_000, flush=True); time.sleep(0.001)"
    layout, record = supervised(chatter)
    rotated = Path(f"{layout.log('toy')}.1")

    def woken_up_it_rotates() -> bool:
        os.kill(record.shim, signal.SIGHUP)
        return rotated.exists()

    assert until(woken_up_it_rotates)
    assert until(lambda: 0 < layout.log("toy").stat().st_size < units.LOG_BYTES)
    assert units.running(layout, "toy") == record, "the service was not restarted for it"
    units.stop(layout, "toy")


def test_crashing_service_is_restarted_with_growing_pauses(
    supervised: Callable[[str], tuple[Layout, units.Record]],
) -> None:
    layout, _ = supervised("import time; print(time.time(), flush=True); raise SystemExit(3)")

    assert until(lambda: len(layout.log("toy").read_text().splitlines()) >= 4)
    starts = [float(line) for line in layout.log("toy").read_text().splitlines()[:4]]
    pauses = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert pauses == sorted(pauses)
    units.stop(layout, "toy")


def test_stubborn_service_and_its_children_are_gone_after_stop(
    supervised: Callable[[str], tuple[Layout, units.Record]],
) -> None:
    deaf = (
        "import signal, subprocess, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(subprocess.Popen(['sleep', '300']).pid, flush=True)\n"
        "time.sleep(300)"
    )
    layout, record = supervised(deaf)
    assert until(lambda: layout.log("toy").read_text().strip().isdigit())
    child = int(layout.log("toy").read_text())

    assert units.stop(layout, "toy")

    assert record.pid
    assert until(lambda: not _alive(child) and not _alive(record.pid))
    assert units.running(layout, "toy") is None


def _alive(pid: int | None) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_probing_a_unit_never_keeps_its_shim_from_starting(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.create()
    deadline = time.monotonic() + 1
    probes = subprocess.Popen(
        [sys.executable, "-c", f"from embedded import locks\nfrom pathlib import Path\n"
         f"while True: locks.taken(Path({str(layout.unit('toy', 'lock'))!r}))"]
    )  # fmt: skip
    try:
        while time.monotonic() < deadline:
            from embedded import locks

            os.close(locks.take(layout.unit("toy", "lock"), 5))
    finally:
        probes.kill()
        probes.wait()
