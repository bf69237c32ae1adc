"""What people and services do wrong: one sentence, the right exit code, nothing half written."""

import json
import socket

import pytest
import yaml

from tests.conftest import EmbeddedPlatform
from tests.uc1.universe import Universe


@pytest.fixture(scope="module")
def broken(platform: EmbeddedPlatform, tmp_path_factory: pytest.TempPathFactory) -> Universe:
    return Universe("broken", tmp_path_factory.mktemp("universes"), platform.state).prepare(600)


def refusal(universe: Universe, *args: str, **env: str) -> tuple[int, str]:
    done = universe.run(*args, MLOPS_RETRY_SECONDS="2", **env)
    said = json.loads(done.stderr.splitlines()[-1])
    assert "Traceback" not in done.stderr
    assert said["code"] == done.returncode
    return done.returncode, f"{said['cause']} {said['hint']}"


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_an_empty_table_is_refused_and_nothing_is_published(broken: Universe) -> None:
    broken.sql("CREATE TABLE IF NOT EXISTS customers_empty (LIKE customers)")
    before = broken.world()
    code, said = refusal(broken, "--set", "uc1.table=customers_empty")
    assert code == 65
    assert "customers_empty has no rows" in said
    assert broken.world() == before


def test_a_missing_column_is_named_with_its_nearest_name(broken: Universe) -> None:
    code, said = refusal(broken, "--set", "uc1.label=churn")
    assert code == 65
    assert "churn" in said
    assert "churned" in said


def test_a_missing_table_is_named(broken: Universe) -> None:
    code, said = refusal(broken, "--set", "uc1.table=custmers")
    assert code in (65, 78)
    assert "custmers" in said


def test_a_broken_expectation_stops_before_anything_is_trained(broken: Universe) -> None:
    broken.sql("CREATE TABLE IF NOT EXISTS customers_aged AS SELECT * FROM customers ORDER BY customer_id LIMIT 600")
    three = "SELECT customer_id FROM customers_aged LIMIT 3"
    broken.sql(f"UPDATE customers_aged SET age = 999 WHERE customer_id IN ({three})")
    code, said = refusal(broken, "--set", "uc1.table=customers_aged")
    assert code == 65
    assert "age" in said
    assert broken.world()["versions"] == []


def test_a_wrong_password_is_a_refusal_of_access_and_is_not_shown(broken: Universe) -> None:
    addresses = broken.state / "addresses.yaml"
    kept = addresses.read_text()
    wrong = yaml.safe_load(kept)
    wrong["postgres"].pop("password_file")
    wrong["postgres"]["password"] = "CANARY-wrong"
    addresses.write_text(yaml.safe_dump(wrong))
    try:
        code, said = refusal(broken)
    finally:
        addresses.write_text(kept)
    assert code == 77
    assert "CANARY" not in said
    kept_files = [path for path in broken.state.rglob("*") if path.is_file() and path != addresses]
    assert all(b"CANARY" not in path.read_bytes() for path in kept_files)


@pytest.mark.parametrize("service", ["postgres", "minio", "mlflow", "kubernetes"])
def test_an_embedded_service_that_is_down_is_named_and_not_started_when_asked_not_to(
    broken: Universe, service: str
) -> None:
    addresses = broken.state / "addresses.yaml"
    kept = addresses.read_text()
    moved, port = yaml.safe_load(kept), closed_port()
    key = {"minio": "endpoint", "mlflow": "tracking_uri", "kubernetes": "server"}.get(service)
    moved[service] |= {key: f"http://127.0.0.1:{port}"} if key else {"port": port}
    addresses.write_text(yaml.safe_dump(moved))
    try:
        code, said = refusal(broken, "--no-start")
    finally:
        addresses.write_text(kept)
    assert code == 69
    assert service in said
    assert "python -m embedded up" in said


@pytest.mark.parametrize(
    ("step", "env"),
    [
        ("01", {"MLOPS_POSTGRES__EMBEDDED": "false", "MLOPS_POSTGRES__HOST": "127.0.0.1"}),
        ("01", {"MLOPS_MINIO__EMBEDDED": "false", "MLOPS_MINIO__SECRET_KEY": "CANARY-secret"}),
    ],
)
def test_a_service_that_dies_behind_an_open_port_is_unavailable_in_the_clients_own_words(
    broken: Universe, step: str, env: dict[str, str]
) -> None:
    port = str(closed_port())
    address = {"MLOPS_POSTGRES__PORT": port, "MLOPS_MINIO__ENDPOINT": f"127.0.0.1:{port}"}
    code, said = refusal(broken, "--until", step, **env, **address)
    assert code == 69
    assert f"127.0.0.1:{port}" in said
    assert "CANARY" not in said
