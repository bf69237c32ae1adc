"""No secret is left anywhere: not by good runs, not by runs that fail in every way, however much they are asked to say.

Everything is searched that outlives a run: what it said, files, git's objects, all databases, the object store, and the
command lines of all processes meanwhile. The platform's own files of secrets are the one place where they may stand.
"""

import json
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from common.paths import ROOT
from tests.data.git_server import GitServer, git_server
from tests.floor.conftest import wait_for
from tests.secrets.canaries import search
from tests.secrets.receiver import Receiver, receiver
from tests.secrets.world import HOOKS, SecretWorld, new_world

pytestmark = [pytest.mark.deep, pytest.mark.timeout(900)]
UC1 = "uc1_churn_prediction/run_pipeline.py"
STEP = "uc1_churn_prediction/uc1_0{}.py"
CLOSED = "127.0.0.1:1"  # nobody listens there


@dataclass
class Town:
    """The world, and the servers beside its platform."""

    world: SecretWorld
    git: GitServer
    receiver: Receiver
    everything: dict[str, str] = field(default_factory=dict)

    def url(self, name: str, place: str, path: str, scheme: str = "http") -> str:
        """A URL whose password is that canary."""
        return f"{scheme}://bot:{self.world.secrets[name].in_url}@{place}/{path}"


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    world = new_world()
    with ExitStack() as ending:
        ending.callback(world.clone.stop_and_delete)
        heard = ending.enter_context(receiver())
        ending.enter_context(world.lines.watched())
        world.clone.up("--json")
        for table, rows in (("customers", 2500), ("customers_latest", 1500)):
            kept = f"SELECT customer_id FROM {table} ORDER BY customer_id LIMIT {rows}"
            world.sql(f"DELETE FROM {table} WHERE customer_id NOT IN ({kept})")
        repositories = world.clone.state / "embedded" / "git"
        password = world.secrets["dvc.password"].value
        git = ending.enter_context(git_server(repositories, "bot", password, world.scratch))
        made = Town(world, git, heard)
        made.everything = settings_of(made)
        yield made


def settings_of(town: Town) -> dict[str, str]:
    """Every setting that is or holds a secret and that the platform does not publish itself."""
    world = town.world
    role = world.secrets["ledger.url"].value.replace("'", "''")
    world.sql(f"CREATE ROLE bot LOGIN PASSWORD '{role}'")
    world.sql("GRANT CREATE ON SCHEMA public TO bot")
    keys = world.clone.addresses()["postgres"]
    hooks = {
        f"MLOPS_{name.upper().replace('.', '__')}": f"http://127.0.0.1:{town.receiver.port}/{world.secrets[name].value}"
        for name in HOOKS
    }
    return {
        **hooks,
        "MLOPS_DVC__EMBEDDED": "false",
        "MLOPS_DVC__GIT_URL": town.url("dvc.git_url", f"127.0.0.1:{town.git.port}", "data.git"),
        "MLOPS_UC3__PUSHGATEWAY_URL": town.url("uc3.pushgateway_url", f"127.0.0.1:{town.receiver.port}", "push"),
        "MLOPS_LEDGER__URL": town.url("ledger.url", f"127.0.0.1:{keys['port']}", "mlops", "postgresql+psycopg2"),
    }


def test_every_secret_that_settings_can_hold_is_a_canary_here(town: Town) -> None:
    schema = json.loads((ROOT / "config.schema.json").read_text())
    sections = {name: spec["$ref"].split("/")[-1] for name, spec in schema["properties"].items() if "$ref" in spec}
    declared = {path for name, of in sections.items() for path in secret_fields(schema, name, of)}
    platforms = {"postgres.password", "minio.secret_key", "kubernetes.token"}
    assert declared - platforms <= set(town.world.secrets)
    shown = town.world.run("-m common", "config", "--origin", **town.everything)
    said = dict(line.split(" = ", 1) for line in shown.out.decode().splitlines())
    assert {path for path in declared if said[path].startswith("**********")} == declared


def secret_fields(schema: dict[str, dict[str, dict[str, object]]], path: str, of: str) -> Iterator[str]:
    definition: dict[str, dict[str, str]] = schema["$defs"][of]["properties"]  # type: ignore[assignment]
    for key, spec in definition.items():
        if spec.get("format") == "password":
            yield f"{path}.{key}"
        elif "$ref" in spec:
            yield from secret_fields(schema, f"{path}.{key}", spec["$ref"].split("/")[-1])


def test_a_run_of_all_six_uses_every_secret_and_says_all_it_can(town: Town) -> None:
    ran = town.world.run("run_all.py", "-vv", "--json", "--keep-going", **town.everything)
    states = {step["step"]: (step["state"], step.get("cause", "")) for step in json.loads(ran.out)["steps"]}
    assert ran.code == 0, states
    assert town.git.pushes
    asked = " ".join(town.receiver.paths)
    assert town.world.secrets["alerts.webhook_url"].value in asked
    assert "/push/metrics/job/drift" in asked
    assert town.world.run(UC1, "-v", **town.everything).code == 0, "unchanged"
    assert town.world.run(UC1, "--force", "-q", "--until", "02").code == 0, "with a ledger of its own"


COMMANDS = (
    ("-m common", "config"), ("-m common", "config", "--origin"), ("-m common", "config", "--schema"),
    ("-m common", "doctor"), ("-m common", "doctor", "--json"), ("-m common", "audit", "verify"),
    *(("-m common", "schedule", "print", "--target", target) for target in ("cron", "systemd", "k8s")),
    *(("-m common", "schedule", "ping", name) for name in ("drift", "retraining", "run_all")),
    ("-m embedded", "status"), ("-m embedded", "status", "--json"), ("-m embedded", "up", "--json"),
    ("run_all.py", "--dry-run"), ("run_all.py", "--list"), (UC1, "--help"),
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_looks_at_the_installation_shows_none(town: Town, command: tuple[str, ...]) -> None:
    ran = town.world.run(*command, **town.everything)
    assert ran.code == 0, ran.err
    assert no_hit(town)


# The platform as if it were somebody else's: what is remote may not stand on what is embedded
REMOTE = {
    **{f"MLOPS_{name}__EMBEDDED": "false" for name in ("POSTGRES", "MINIO", "MLFLOW")},
    "MLOPS_POSTGRES__HOST": "127.0.0.1", "MLOPS_POSTGRES__PORT": "{postgres}",
    "MLOPS_POSTGRES__PASSWORD": "{postgres_password}", "MLOPS_MINIO__ENDPOINT": "{minio}",
    "MLOPS_MINIO__ACCESS_KEY": "mlops", "MLOPS_MINIO__SECRET_KEY": "{minio_key}",
    "MLOPS_MLFLOW__TRACKING_URI": "{mlflow}",
}  # fmt: skip
# What is done, the arguments, settings beside or in place of the usual, the exit code
FAILURES: dict[str, tuple[str, tuple[str, ...], dict[str, str], int]] = {
    "PostgreSQL refuses the password": (UC1, ("-vv",), {
        "MLOPS_POSTGRES__EMBEDDED": "false", "MLOPS_POSTGRES__HOST": "127.0.0.1", "MLOPS_POSTGRES__PORT": "{postgres}",
        "MLOPS_POSTGRES__PASSWORD": "{git.password}"}, 77),
    "S3 refuses the key": (UC1, ("-vv", "--json", "--force"), {
        "MLOPS_MINIO__EMBEDDED": "false", "MLOPS_MINIO__ENDPOINT": "{minio}", "MLOPS_MINIO__ACCESS_KEY": "mlops",
        "MLOPS_MINIO__SECRET_KEY": "{git.password}"}, 77),
    "MLflow is away, its password in its URL": (UC1, ("-vv", "--from-step", "05", "--force"), {
        "MLOPS_MLFLOW__EMBEDDED": "false", "MLOPS_MLFLOW__TRACKING_URI": "http://bot:{url}@{closed}"}, 69),
    "Kubernetes refuses the token": ("-m common", ("doctor", "--json"), {
        **REMOTE, "MLOPS_KUBERNETES__EMBEDDED": "false", "MLOPS_KUBERNETES__SERVER": "{kubernetes}",
        "MLOPS_PROMETHEUS__EMBEDDED": "false", "MLOPS_KUBERNETES__TOKEN": "{git.password}"}, 77),
    "the data repository is away": (UC1, ("-v", "--from-step", "02", "--force"), {
        "MLOPS_DVC__GIT_URL": "http://bot:{url}@{closed}/data.git"}, 69),
    "the data repository refuses the password": (UC1, ("-vv", "--json", "--from-step", "02", "--force"), {
        "MLOPS_DVC__PASSWORD": "{argocd.token}"}, 77),
    "the deployments repository refuses the password": ("-m common", ("doctor",), {
        "MLOPS_GIT__EMBEDDED": "false", "MLOPS_GIT__DEPLOYMENTS_URL": "http://127.0.0.1:{git}/deployments.git"}, 77),
    "Kubeflow is away, a token in its URL": (UC1, ("-vv", "--from-step", "05", "--force"), {
        "MLOPS_KUBEFLOW__EMBEDDED": "false", "MLOPS_KUBEFLOW__HOST": "http://{url}@{closed}",
        **REMOTE}, 69),
    "Argo CD is away": ("uc6_gitops_deployment/run_pipeline.py", ("-vv", "--from-step", "02", "--force"), {
        "MLOPS_ARGOCD__EMBEDDED": "false", "MLOPS_ARGOCD__SERVER": "http://bot:{url}@{closed}"}, 78),
    "Marquez is away": ("uc4_data_lineage/run_pipeline.py", ("-vv", "--force"), {
        "MLOPS_MARQUEZ__EMBEDDED": "false", "MLOPS_MARQUEZ__URL": "http://{closed}"}, 69),
    "webhook and gateway are away": ("uc3_drift_retraining/uc3_01_drift_detection_evidently.py", ("-vv", "--force"), {
        "MLOPS_ALERTS__WEBHOOK_URL": "http://{closed}/hook/{alerts.webhook_url}",
        "MLOPS_UC3__PUSHGATEWAY_URL": "http://bot:{url}@{closed}", "MLOPS_UC3__CURRENT": "customers_latest",
        "MLOPS_UC3__REFERENCE": "customers"}, 0),
    "the heartbeat is away": ("-m common", ("schedule", "ping", "drift"), {
        "MLOPS_SCHEDULES__DRIFT__HEARTBEAT_URL": "http://{closed}/{schedules.drift.heartbeat_url}"}, 69),
    "the shared ledger refuses the password": (UC1, ("-vv",), {
        "MLOPS_LEDGER__URL": "postgresql+psycopg2://bot:wrong{url}@127.0.0.1:{postgres}/mlops"}, 69),
    "the ledger's URL is none": (UC1, ("-vv",), {"MLOPS_LEDGER__URL": "postgres {git.password}"}, 78),
    "a password in a URL is not encoded": (UC1, ("-vv",), {
        "MLOPS_DVC__GIT_URL": "https://bot:{git.password}@h/d.git"}, 78),
    "a wrong key beside a password": ("-m common", ("config", "--set", "git.pasword=x"), {}, 78),
    "bad data": (UC1, ("-vv", "--json"), {"MLOPS_UC1__POSITIVE_LABEL": "maybe"}, 65),
    "a gate refuses": (UC1, ("-vv", "--json"), {"MLOPS_UC1__GATE__MIN_ROC_AUC": "0.999"}, 3),
    "a deadline passes": (UC1, ("-vv", "--force", "--deadline", "2"), {}, 124),
    "a bug that tells everything": ("tests/secrets/reveal_01_everything.py", ("-vv", "--json"), {}, 70),
    "the same bug, heard on -v": ("tests/secrets/reveal_01_everything.py", ("-v",), {}, 70),
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES)
def test_a_run_that_fails_tells_none(town: Town, failure: str) -> None:
    script, args, changed, code = FAILURES[failure]
    known = places(town)
    env = {name: filled(value, known) for name, value in changed.items()}
    ran = town.world.run(script, *args, name=failure, **{**town.everything, "PYTHONPATH": str(ROOT), **env})
    assert ran.code == code, ran.err[-3000:].decode()
    assert no_hit(town)


def places(town: Town) -> dict[str, str]:
    keys, secrets = town.world.clone.addresses(), town.world.secrets
    return {
        "postgres": str(keys["postgres"]["port"]), "minio": keys["minio"]["endpoint"], "closed": CLOSED,
        "mlflow": keys["mlflow"]["tracking_uri"], "kubernetes": keys["kubernetes"]["server"], "git": str(town.git.port),
        "url": secrets["dvc.git_url"].in_url, "postgres_password": secrets["postgres"].value,
        "minio_key": secrets["minio"].value, **{name: secret.value for name, secret in secrets.items() if "." in name},
    }  # fmt: skip


def filled(text: str, known: dict[str, str]) -> str:
    for name, value in known.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def no_hit(town: Town) -> bool:
    """Of what the newest run said, and of the command lines so far; what it left is searched when all have run."""
    newest = town.world.runs[-1]
    pieces = [("stdout", newest.out), ("stderr", newest.err), *town.world.lines.pieces()]
    hits = list(search(pieces, town.world.secrets.values()))
    assert not hits, f"{newest.name}: {hits}"
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_stopped_tells_none(town: Town, number: signal.Signals) -> None:
    command = [sys.executable, str(ROOT / UC1), "-vv", "--force"]
    env = town.world.variables(**town.everything)
    said = town.world.clone.state / f"stopped-{number.name}.txt"
    with said.open("wb") as file, subprocess.Popen(command, env=env, stdout=file, stderr=file) as run:
        assert wait_for(lambda: b"uc1_02" in said.read_bytes(), 60)
        run.send_signal(number)
        assert run.wait(30) == 128 + number


def test_the_files_of_secrets_are_the_only_place_and_nobody_else_reads_them(town: Town) -> None:
    for path in town.world.kept_secrets():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert list(search([("kept", path.read_bytes())], town.world.secrets.values())), f"{path} holds none"
    assert town.world.lines.looks > 100
    assert town.world.hits() == []
