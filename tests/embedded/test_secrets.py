"""Who may in, and where secrets can be seen. The whole platform runs."""

import http.client
import stat
from pathlib import Path

import psycopg2
import pytest

from embedded.services.service import NotReadyError
from tests.conftest import EmbeddedPlatform
from tests.embedded.conftest import Clone
from tests.embedded.test_lifecycle import processes_of


@pytest.fixture(scope="module")
def whole(platform: EmbeddedPlatform) -> Clone:
    return Clone(platform.state)


def answer(port: int, verb: str, path: str, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(verb, path, body=b"data" if verb == "PUT" else None, headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


def port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


def test_whole_platform_is_healthy(whole: Clone) -> None:
    states = {name: row["state"] for name, row in whole.status().items()}

    started = ("postgres", "minio", "mlflow", "marquez", "kubernetes")
    assert states == dict.fromkeys(started, "healthy") | {"git": "files"}
    assert set(whole.addresses()) == {
        "postgres", "minio", "mlflow", "marquez", "kubernetes", "prometheus", "dvc", "git",
    }  # fmt: skip


def test_wrong_database_password_is_refused(whole: Clone) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        whole.query("SELECT 1", password="wrong")
    assert whole.query("SELECT rolpassword LIKE 'SCRAM-SHA-256%' FROM pg_authid WHERE rolname = 'mlops'") == [(True,)]


def test_wrong_secret_key_is_refused(whole: Clone) -> None:
    with pytest.raises(NotReadyError, match="403"):
        whole.put("/mlops/intruder", b"x", secret_key="wrong")


@pytest.mark.parametrize("verb", ["GET", "PUT", "DELETE"])
def test_anonymous_callers_get_nothing_from_store_and_filer(whole: Clone, verb: str) -> None:
    port = port_of(whole.addresses()["minio"]["endpoint"])

    assert answer(port, verb, "/mlops/anything") == 403
    assert answer(port + 3, verb, "/buckets/mlops/anything") == 401, "the filer behind S3 knows no S3 keys"


def test_kubernetes_api_wants_its_token(whole: Clone) -> None:
    keys = whole.addresses()["kubernetes"]
    token = Path(keys["token_file"]).read_text().strip()

    assert answer(port_of(keys["server"]), "GET", "/apis") == 401
    assert answer(port_of(keys["server"]), "GET", "/apis", Authorization=f"Bearer {token}") == 200


def test_mlflow_refuses_foreign_host_names(whole: Clone) -> None:
    port = port_of(whole.addresses()["mlflow"]["tracking_uri"])
    path = "/api/2.0/mlflow/experiments/get?experiment_id=0"

    assert answer(port, "GET", path) == 200
    assert answer(port, "GET", path, Host="evil.example.com") == 403


def test_services_listen_on_loopback_only(whole: Clone) -> None:
    connections = [connection for process in processes_of(whole) for connection in process.connections("tcp")]

    assert {c.laddr.ip for c in connections if c.status == "LISTEN"} == {"127.0.0.1"}


def test_secrets_are_private_files(whole: Clone) -> None:
    directory = whole.state / "secrets"

    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert {"postgres", "minio", "kubernetes"} <= set(modes)
    assert set(modes.values()) == {0o600}


def test_secrets_are_in_no_command_line_and_no_log(whole: Clone) -> None:
    secrets = [path.read_text().strip() for path in (whole.state / "secrets").iterdir()]
    command_lines = "\n".join(" ".join(process.cmdline()) for process in processes_of(whole))
    logs = "\n".join(path.read_text(errors="replace") for path in (whole.state / "logs").iterdir())

    assert "weed" in command_lines
    assert "seaweedfs" in logs.lower()
    assert [secret for secret in secrets if secret in command_lines or secret in logs] == []


@pytest.mark.deep
def test_artifacts_go_through_mlflow_without_keys_of_the_store(whole: Clone) -> None:
    code = (
        "import mlflow, sys; mlflow.set_tracking_uri(sys.argv[1])\n"
        "with mlflow.start_run() as run: mlflow.log_text('kept', 'note.txt')\n"
        "print(mlflow.artifacts.load_text(run.info.artifact_uri + '/note.txt'))"
    )
    uri = whole.addresses()["mlflow"]["tracking_uri"]
    done = whole.run("-c", code, uri, HOME=str(whole.state), MLFLOW_DISABLE_TELEMETRY="true")

    assert done.stdout.splitlines()[-1:] == ["kept"] or "kept" in done.stdout, done.stderr
