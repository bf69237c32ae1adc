"""The servers of the contract: the embedded ones, and real ones that MLOPS_TEST_* variables name."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from common.git_command import address, credentials, git
from common.k8s_client import Kubernetes
from common.minio_client import ObjectStore
from common.postgres import Postgres
from common.registry import Registry
from common.settings import Kubernetes as Section
from common.settings import Minio, Mlflow
from common.settings import Postgres as PostgresSection
from tests.serving.kube import KubeApi

Document = dict[str, Any]
REAL = os.environ.get("MLOPS_TEST_KUBECONFIG", "")


@dataclass(frozen=True)
class Cluster:
    """A server, our client to it, and a namespace that is the tests' own."""

    kube: Kubernetes
    section: Section
    namespace: str
    kubeconfig: Path
    api: KubeApi | None = None

    def runtime(self, name: str, **spec: Any) -> Document:
        """A ServingRuntime, a kind that no controller touches."""
        container = {"name": "kserve-container", "image": "one"}
        return {
            "apiVersion": "serving.kserve.io/v1alpha1", "kind": "ServingRuntime",
            "metadata": {"name": name, "namespace": self.namespace}, "spec": {"containers": [container], **spec},
        }  # fmt: skip

    def as_somebody_else(self, name: str, patch: Document, manager: str = "kubectl-edit") -> None:
        """Change a ServingRuntime with another client, as another field manager."""
        from kubernetes import client, config

        api = client.CustomObjectsApi(config.new_client_from_config(str(self.kubeconfig)))
        api.patch_namespaced_custom_object(
            "serving.kserve.io", "v1alpha1", self.namespace, "servingruntimes", name, patch, field_manager=manager
        )


@pytest.fixture(scope="session")
def embedded_kube() -> Iterator[KubeApi]:
    """An embedded API server without an object store: nothing here is ever served."""
    state = Path(tempfile.mkdtemp(prefix="mlops-contract-", dir="/tmp"))
    api = KubeApi(state).start()
    try:
        yield api
    finally:
        api.stop()
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(
    params=[
        "embedded",
        pytest.param("real", marks=pytest.mark.skipif(not REAL, reason="MLOPS_TEST_KUBECONFIG is not set")),
    ]
)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Each server in turn, with a fresh namespace."""
    namespace = f"mlops-test-{uuid.uuid4().hex[:8]}"
    api: KubeApi | None = None
    if request.param == "embedded":
        api = request.getfixturevalue("embedded_kube")
        section, kubeconfig = api.section, api.state / "kubeconfig"
    else:
        section, kubeconfig = Section(kubeconfig=REAL, embedded=False), Path(REAL)
    kube = Kubernetes(section)
    kube.ensure_namespace(namespace)
    try:
        yield Cluster(kube, section, namespace, kubeconfig, api)
    finally:
        kube.delete("Namespace", namespace)


# The other services: the session's embedded platform, and real ones where a variable gives an address. What the
# tests make there has a name of its own and is removed again.


def servers(variable: str) -> list[Any]:
    """The parameters of a fixture: the embedded server always, the real one where `variable` is set."""
    absent = pytest.mark.skipif(not os.environ.get(variable), reason=f"{variable} is not set")
    return ["embedded", pytest.param("real", marks=absent)]


def own_name() -> str:
    return f"mlops-test-{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True)
class Database:
    """A PostgreSQL server and a schema of the test's own, called OURS in statements."""

    postgres: Postgres
    schema: str

    def sql(self, statement: str) -> None:
        with self.postgres.engine.begin() as connection:
            connection.exec_driver_sql(statement.replace("OURS", self.schema))


@pytest.fixture(params=servers("MLOPS_TEST_POSTGRES_URL"))
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    if request.param == "embedded":
        section = request.getfixturevalue("settings").postgres
    else:
        url = make_url(os.environ["MLOPS_TEST_POSTGRES_URL"])
        section = PostgresSection(
            host=url.host or "", port=url.port or 5432, database=url.database or "", user=url.username or "",
            password=SecretStr(url.password or ""), embedded=False,
        )  # fmt: skip
    made = Database(Postgres(section), own_name().replace("-", "_"))
    made.sql("CREATE SCHEMA OURS")
    try:
        yield made
    finally:
        made.sql("DROP SCHEMA OURS CASCADE")


@pytest.fixture(params=servers("MLOPS_TEST_MINIO_ENDPOINT"))
def bucket(request: pytest.FixtureRequest) -> Iterator[ObjectStore]:
    """An object store with a bucket of the test's own."""
    if request.param == "embedded":
        section = request.getfixturevalue("settings").minio.model_copy(update={"bucket": own_name()})
    else:
        names = {"endpoint": "ENDPOINT", "access_key": "ACCESS_KEY", "secret_key": "SECRET_KEY", "region": "REGION"}
        given = {key: os.environ.get(f"MLOPS_TEST_MINIO_{name}") for key, name in names.items()}
        section = Minio(bucket=own_name(), embedded=False, **{key: value for key, value in given.items() if value})
    store = ObjectStore(section)
    store.ensure_bucket()
    try:
        yield store
    finally:
        for each in list(store.list("")):
            store.delete(each.key)
        store.client.delete_bucket(Bucket=store.bucket)


@pytest.fixture(params=servers("MLOPS_TEST_MLFLOW_URL"))
def registry(request: pytest.FixtureRequest) -> Registry:
    if request.param == "embedded":
        return Registry(request.getfixturevalue("settings").mlflow)
    return Registry(Mlflow(tracking_uri=os.environ["MLOPS_TEST_MLFLOW_URL"], embedded=False))


@dataclass(frozen=True)
class Remote:
    """A git remote and a branch of the test's own; `clone` gives a fresh clone of it, as a second machine has."""

    url: str
    branch: str
    directory: Path

    def clone(self) -> Path:
        where = self.directory / uuid.uuid4().hex[:8]
        where.mkdir()
        git(where, "init", "--quiet")
        git(where, "remote", "add", "origin", address(self.url))
        git(where, "config", "user.name", "contract")
        git(where, "config", "user.email", "contract@localhost")
        return where

    def call(self, where: Path, *args: str) -> str:
        return git(where, *args, env=credentials(self.url))


@pytest.fixture(params=servers("MLOPS_TEST_GIT_URL"))
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Remote]:
    if request.param == "embedded":
        url = request.getfixturevalue("settings").git.deployments_url
    else:
        url = os.environ["MLOPS_TEST_GIT_URL"]
    made = Remote(url, own_name(), tmp_path)
    yield made
    where = made.clone()
    if made.call(where, "ls-remote", "origin", f"refs/heads/{made.branch}"):
        made.call(where, "push", "--quiet", "origin", f":refs/heads/{made.branch}")
