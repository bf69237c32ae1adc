"""The configuration as types: one frozen model a section, named like the tool it describes.

A wrong key or type is refused with its path. Secrets are SecretStr: they print as asterisks.
"""

import re
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from common.names import Branch, Bucket, DnsLabel, DnsNameOrEmpty, Identifier, Image, Line, ObjectKey
from common.settings_schedules import Alerts, Schedules
from common.settings_uc1 import Uc1
from common.settings_uc2 import Iter8, Traffic, Uc2
from common.settings_uc3 import Uc3
from common.settings_uc4 import Uc4
from common.settings_uc5 import Uc5
from common.settings_uc6 import Uc6
from common.uris import GitUrl, HttpUrl

if TYPE_CHECKING:
    from sqlalchemy import URL

NO_API = "http://prometheus.invalid"  # a name that never resolves (RFC 2606)
IDENTITY = r"^[^<>\x00-\x1f]*[^<>\x00-\x20]$"  # what git takes as it is, in a commit's author
Environment = Literal["development", "staging", "production"]


def without_credentials(url: str) -> str:
    """The URL without the user and password that some tools allow in it."""
    return re.sub(r"//[^/]*@", "//", url)  # not parsed: it may be no URL at all


class Section(BaseModel):
    """A section of config.yaml: frozen, and it refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Service(Section):
    """A section that describes a server, which the laptop's platform can play."""

    embedded: bool | None = Field(None, description="Served by the embedded platform? Default: in development.")


class Postgres(Service):
    """PostgreSQL: where the customers are, and Feast's online store."""

    host: str = Field("localhost", description="Host name of the server.")
    port: int = Field(5432, ge=1, le=65535, description="TCP port.")
    database: str = Field("mlops", description="Database that holds the source table.")
    user: str = Field("mlops", description="Role to connect as; it needs SELECT on the source table.")
    password: SecretStr = Field(SecretStr(""), description="Better: MLOPS_POSTGRES__PASSWORD or password_file.")
    sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = Field(
        "prefer", description="TLS to the server, as libpq understands it."
    )

    @property
    def address(self) -> str:
        """host:port, for messages."""
        return f"{self.host}:{self.port}"

    def url(self, driver: str = "postgresql+psycopg2", **query: str) -> "URL":
        """The connection URL, built part by part so that no password can change the host."""
        from sqlalchemy import URL

        return URL.create(
            driver, self.user, self.password.get_secret_value(), self.host, self.port, self.database,
            query={"sslmode": self.sslmode, **query},
        )  # fmt: skip


class Minio(Service):
    """Any S3: MinIO, AWS, Ceph, SeaweedFS. Holds snapshots, features, models, reports."""

    endpoint: str = Field("localhost:9000", description="host:port or URL of the S3 API.")
    access_key: str = Field("", description="Access key id.")
    secret_key: SecretStr = Field(SecretStr(""), description="Better: MLOPS_MINIO__SECRET_KEY or secret_key_file.")
    bucket: Bucket = Field("mlops", description="The one bucket of this project.")
    region: str = Field("us-east-1", description="Region to sign for.")
    ca_file: str = Field("", description="CA bundle of `endpoint`; empty: the system's.")

    @property
    def url(self) -> str:
        """The endpoint with its scheme; http where none is given."""
        return self.endpoint if "://" in self.endpoint else f"http://{self.endpoint}"


class Mlflow(Service):
    """MLflow: runs and the model registry."""

    tracking_uri: HttpUrl = Field("http://localhost:5000", description="URL of the tracking server.")
    username: str = Field("", description="For a server with basic authentication.")
    password: SecretStr = Field(SecretStr(""), description="Better: MLOPS_MLFLOW__PASSWORD or password_file.")


class Kubeflow(Service):
    """Kubeflow Pipelines; embedded, its own local runner stands in for the server."""

    host: HttpUrl = Field("http://ml-pipeline.kubeflow:8888", description="URL of the Pipelines API.")
    namespace: DnsLabel = Field("kubeflow", description="Namespace that runs start in.")
    image: Image = Field("mlops-steps:latest", description="Image with this project installed; components run in it.")
    token: SecretStr = Field(SecretStr(""), description="Bearer token, where the API wants one.")


class Kubernetes(Service):
    """The Kubernetes API that holds our InferenceServices; empty: kubeconfig, else in-cluster credentials."""

    server: HttpUrl = Field("", description="URL of the API server; with `token`.")
    token: SecretStr = Field(SecretStr(""), description="Bearer token for `server`.")
    kubeconfig: str = Field("", description="Path of a kubeconfig file; empty: in-cluster credentials.")
    context: str = Field("", description="Context in the kubeconfig; empty: its current one.")
    ca_file: str = Field("", description="CA bundle of `server`; empty: the system's.")
    verify_tls: bool = Field(True, description="Check the server's certificate.")


class Kserve(Section):
    """How models are served."""

    runtime: DnsLabel = Field("churn-onnx", description="Name of the ServingRuntime that we apply and ask for.")
    image: Image = Field("mlops-serving:latest", description="Image of the model server.")
    service_account: DnsNameOrEmpty = Field("", description="ServiceAccount whose Secret lets the server read S3.")
    deployment_mode: Literal["Standard", "Knative"] = Field("Standard", description="KServe's deployment mode.")
    ingress_url: HttpUrl = Field("", description="Ingress to send predictions to; empty: the service's own URL.")
    ready_seconds: int = Field(120, ge=1, description="How long a deployment may take to become ready.")
    prediction_log_prefix: ObjectKey = Field("predictions", description="Where in the bucket predictions are logged.")


class Prometheus(Service):
    """Prometheus, which scrapes the model servers; embedded, we read their /metrics ourselves."""

    url: HttpUrl = Field("http://localhost:9090", description="URL of the HTTP API; embedded: of the list of targets.")
    token: SecretStr = Field(SecretStr(""), description="Bearer token, where the API wants one.")
    stale_seconds: float = Field(60, gt=0, description="Older samples count as missing.")

    @field_validator("url")
    @classmethod
    def _without_password(cls, url: str) -> str:
        if "@" in url:
            raise ValueError("user and password do not belong in it, set prometheus.token")
        return url

    @property
    def api_url(self) -> str:
        """The HTTP API as others may ask it, Iter8 for example; embedded there is none, and the name says so."""
        return NO_API if self.embedded else self.url


class Dvc(Service):
    """The data repository: a git repository of its own whose large files DVC keeps in S3."""

    git_url: GitUrl = Field("", description="Git URL of the data repository.")
    prefix: ObjectKey = Field("dvc", description="Prefix in the bucket for DVC's files.")
    branch: Branch = Field("main", description="Branch that versions are committed to.")
    username: str = Field("", description="For https; without it and `password`, those of `git` on the same host.")
    password: SecretStr = Field(SecretStr(""), description="Or a token; better: MLOPS_DVC__PASSWORD or password_file.")


class Git(Service):
    """The deployments repository that Argo CD watches."""

    deployments_url: GitUrl = Field("", description="Git URL of the deployments repository: a path, ssh or https.")
    branch: Branch = Field("main", description="Branch that Argo CD follows.")
    username: str = Field("", description="For https with a password or token; for ssh the agent knows.")
    password: SecretStr = Field(SecretStr(""), description="Or a token; better: MLOPS_GIT__PASSWORD or password_file.")
    author_name: str = Field(
        "MLOps pipeline", pattern=IDENTITY, description="Author of our commits, to both repositories."
    )
    author_email: str = Field(
        "mlops@localhost", pattern=IDENTITY, description="The author's address; some hosts want one that they know."
    )


class Argocd(Service):
    """Argo CD: through the Kubernetes API, or where `server` is set through its own REST API."""

    server: HttpUrl = Field("", description="URL of Argo CD's API; empty: its objects are written through kubernetes.")
    token: SecretStr = Field(SecretStr(""), description="Token of an account with apiKey, for `server`.")
    ca_file: str = Field("", description="CA bundle of `server`; empty: the system's.")
    namespace: DnsLabel = Field("argocd", description="Namespace that Argo CD keeps its objects in.")
    application: DnsNameOrEmpty = Field("", description="Name of the Application; empty: <model>-<environment>.")
    project: DnsNameOrEmpty = Field("", description="An AppProject that is there; empty: one of our own is made.")
    destination: HttpUrl = Field("https://kubernetes.default.svc", description="Cluster as Argo CD knows it.")
    repository_url: GitUrl = Field("", description="Where Argo CD finds the repository; empty: as git says.")


class Marquez(Service):
    """Marquez, where lineage goes; embedded, a server of ours with the same API."""

    url: HttpUrl = Field("http://localhost:5050", description="URL of the API, without /api/v1; empty: there is none.")
    namespace: Line = Field("mlops", min_length=1, description="Namespace of our jobs there.")
    token: SecretStr = Field(SecretStr(""), description="Bearer token, where a proxy in front of it wants one.")
    timeout_seconds: float = Field(2, gt=0, description="How long an answer may take; no step waits for it.")

    @field_validator("url")
    @classmethod
    def _without_password(cls, url: str) -> str:
        if "@" in url:
            raise ValueError("user and password do not belong in it, set marquez.token")
        return url


class Feast(Section):
    """The feature store; it lives in PostgreSQL and S3."""

    repo_path: str = Field("uc1_churn_prediction/feature_repo", description="Directory of the feature definitions.")
    project: Identifier = Field("churn", description="Feast project; it prefixes the online tables.")
    online_store: Literal["postgres", "sqlite"] = Field("postgres", description="Where features are read online.")


class LedgerPlace(Section):
    """Where the ledger of runs is kept."""

    url: SecretStr = Field(SecretStr(""), description="PostgreSQL URL where machines share it; empty: a local file.")


class Settings(BaseSettings):
    """Everything configurable. Get one from common.config.load_settings(), never from the constructor."""

    model_config = SettingsConfigDict(
        env_prefix="MLOPS_", env_nested_delimiter="__", env_file=".env", extra="forbid", frozen=True,
        hide_input_in_errors=True, nested_model_default_partial_update=False,
    )  # fmt: skip

    environment: Environment = Field("development", description="Chooses the overlay config.<environment>.yaml.")
    postgres: Postgres = Postgres()
    minio: Minio = Minio()
    mlflow: Mlflow = Mlflow()
    kubeflow: Kubeflow = Kubeflow()
    kubernetes: Kubernetes = Kubernetes()
    kserve: Kserve = Kserve()
    prometheus: Prometheus = Prometheus()
    dvc: Dvc = Dvc()
    git: Git = Git()
    argocd: Argocd = Argocd()
    marquez: Marquez = Marquez()
    feast: Feast = Feast()
    ledger: LedgerPlace = LedgerPlace()
    iter8: Iter8 = Iter8()
    traffic: Traffic = Traffic()
    uc1: Uc1 = Uc1()
    uc2: Uc2 = Uc2()
    uc3: Uc3 = Uc3()
    uc4: Uc4 = Uc4()
    uc5: Uc5 = Uc5()
    uc6: Uc6 = Uc6()
    schedules: Schedules = Schedules()
    alerts: Alerts = Alerts()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 (the names are the base class's)
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed in: common.config merges the sources itself, to know where each value came from."""
        return (init_settings,)

    def at(self, path: str) -> Any:
        """The value at a dotted path such as "uc1.model_name". Raises AttributeError for a wrong path."""
        value: Any = self
        for part in path.split("."):
            value = getattr(value, part)
        return value

    def services(self) -> dict[str, Service]:
        """The sections that describe a server, by name."""
        sections = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: section for name, section in sections.items() if isinstance(section, Service)}
