"""The thin slice of the matrix: every client against three faults, and one step through its own script."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from common.errors import MlopsError, Unavailable
from common.failures import explain
from common.postgres import Postgres
from common.silence import hung_up_after
from common.tools import Tools
from tests.conftest import EmbeddedPlatform
from tests.faults.matrix import OTHERWISE, SERVICES
from tests.faults.stage import Behind, behind
from tests.uc1.universe import Universe

CALLS: dict[str, Callable[[Tools], Any]] = {
    "postgres": lambda tools: tools.postgres.ping(),
    "s3": lambda tools: tools.minio.ping(),
    "mlflow": lambda tools: tools.mlflow.versions("none"),
    "kubernetes": lambda tools: tools.kubernetes.get("Namespace", "default"),
    "git": lambda tools: tools.dvc.state("raw/customers.parquet"),
    "marquez": lambda tools: tools.marquez.search("customers"),
}
THREE = dict.fromkeys(CALLS, ("reset", "503", "200")) | {"postgres": ("reset", "starting", "login")}


@pytest.fixture(scope="module")
def behind_proxies(platform: EmbeddedPlatform) -> Iterator[Behind[Universe]]:
    with behind(Universe, "thin", platform.state) as made:
        made.world.tools.minio.ensure_bucket()
        yield made


@pytest.mark.parametrize(("service", "fault"), [(service, fault) for service in CALLS for fault in THREE[service]])
def test_a_client_says_what_the_matrix_says_after_as_many_tries(
    service: str, fault: str, behind_proxies: Behind[Universe], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "0")
    expected, proxy = SERVICES[service][fault], behind_proxies.proxies.of[service]
    tools = behind_proxies.world.tools
    behind_proxies.proxies.behave(service, fault)
    try:
        with pytest.raises(MlopsError) as raised:
            CALLS[service](tools)
        strikes = [strike for strike in proxy.strikes if strike == proxy.strikes[-1]]
    finally:
        behind_proxies.proxies.behave()
    failure = explain(raised.value)
    assert (int(failure.code), len(strikes)) == (expected.code, expected.tries), failure.cause
    assert str(proxy.port) in failure.cause
    CALLS[service](behind_proxies.world.tools)  # and is well again


def test_a_step_in_trouble_ends_with_its_code_and_one_sentence(behind_proxies: Behind[Universe]) -> None:
    step, fault = "uc4_01", "503"
    behind_proxies.proxies.behave("marquez", fault)
    done: subprocess.CompletedProcess[str] = behind_proxies.world.run(
        "--no-start", script="../uc4_data_lineage/uc4_01_emit_lineage_openlineage.py"
    )
    behind_proxies.proxies.behave()
    assert done.returncode == OTHERWISE[step, "marquez", fault].code, done.stderr
    assert str(behind_proxies.proxies.of["marquez"].port) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_goes_silent_in_the_middle_of_a_result_is_hung_up_on(
    behind_proxies: Behind[Universe], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_TIMEOUT_SCALE", "0.02")
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "1")
    behind_proxies.proxies.behave("postgres", "stall")
    with pytest.raises(Unavailable, match="does not answer"):
        behind_proxies.world.tools.postgres.rows(sa.text("SELECT g FROM generate_series(1, 100) g"))
    behind_proxies.proxies.behave()


def test_what_was_connected_before_is_not_hung_up_on(behind_proxies: Behind[Universe]) -> None:
    postgres: Postgres = behind_proxies.world.tools.postgres
    with postgres.engine.connect() as older:
        with hung_up_after(postgres.settings.port, 0.1), postgres.engine.connect() as newer:
            time.sleep(0.5)
            with pytest.raises(sa.exc.OperationalError):
                newer.execute(sa.text("SELECT 1"))
        assert older.scalar(sa.text("SELECT 1")) == 1


def test_a_page_of_one_line_is_no_empty_repository(behind_proxies: Behind[Universe], tmp_path: Path) -> None:
    behind_proxies.proxies.behave("git", "200")
    with pytest.raises(Unavailable, match="is no git server"):
        behind_proxies.world.tools.dvc.commit_of("0" * 64)
    behind_proxies.proxies.behave()
    assert behind_proxies.world.tools.dvc.commit_of("0" * 64) == ""
    assert list(tmp_path.iterdir()) == []
