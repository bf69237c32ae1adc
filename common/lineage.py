"""What lineage calls things: datasets by where they are and their logical path, after OpenLineage's naming spec.

A digest is a version of a dataset and never part of its name. The laptop's own servers are called localhost on their
usual ports, whatever their ports are today: a restart makes no new datasets.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from common.paths import ROOT

if TYPE_CHECKING:
    from common.settings import Settings

Places = Mapping[str, str]


class DatasetId(NamedTuple):
    """Namespace and name, as OpenLineage wants them."""

    namespace: str
    name: str


def noted(settings: "Settings") -> dict[str, Any]:
    """What the ledger notes when a run starts, so that its events need nothing else: names, and the code's version."""
    return {"lineage": {"namespace": settings.marquez.namespace, "places": places(settings), "code": code_version()}}


def places(settings: "Settings") -> dict[str, str]:
    """Where each kind of dataset is: the namespace of its names."""
    postgres, minio = settings.postgres, settings.minio
    return {
        "table": "postgres://localhost:5432" if postgres.embedded else f"postgres://{postgres.address}",
        "database": postgres.database,
        "bucket": minio.bucket,
        "data_repository": _repository(settings.dvc.git_url, bool(settings.dvc.embedded)),
        "feature_view": f"feast://{settings.feast.project}",
        "model": _server("mlflow", settings.mlflow.tracking_uri, bool(settings.mlflow.embedded), 5000),
        "service": _server("kserve", settings.kubernetes.server or "cluster", bool(settings.kubernetes.embedded), 8001),
        "s3": minio.url if not minio.embedded else "http://localhost:8333",
    }  # fmt: skip


def namespaces(settings: "Settings") -> set[str]:
    """The namespaces of our datasets and jobs, as against those of others who use the same lineage server."""
    known = places(settings)
    named = {known[kind] for kind in ("table", "data_repository", "feature_view", "model", "service")}
    return {*named, f"s3://{known['bucket']}", settings.marquez.namespace}


def dataset_id(kind: str, name: str, where: Places) -> DatasetId:
    """A dataset of one of our kinds as OpenLineage names it."""
    if kind == "table":
        path = name if "." in name else f"public.{name}"
        return DatasetId(where.get("table", "postgres://localhost:5432"), f"{where.get('database', 'mlops')}.{path}")
    if "://" in name:  # an object is named by its own URI
        parts = urlsplit(name)
        return DatasetId(f"{parts.scheme}://{parts.netloc}", parts.path.strip("/") or "/")
    if kind == "object":
        return DatasetId(f"s3://{where.get('bucket', 'mlops')}", name.strip("/"))
    return DatasetId(where.get(kind, f"{kind}://localhost"), name)


def source_uri(dataset: DatasetId, where: Places) -> str:
    """The address of the server that a dataset is on."""
    return where.get("s3", dataset.namespace) if dataset.namespace.startswith("s3://") else dataset.namespace


def code_version() -> dict[str, str]:
    """Commit and remote of this checkout; where it is none, as in an image, the commit that was built."""
    from common.code_version import built_from
    from common.errors import MlopsError
    from common.git_command import git, without_user

    def ask(*args: str) -> str:
        try:
            return git(ROOT, *args).strip()
        except (MlopsError, OSError):
            return ""

    commit = ask("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    remote = ask("config", "--get", "remote.origin.url") if commit else ""
    return {"commit": commit or built_from(), "repository": without_user(remote) if remote else ""}


def _server(scheme: str, url: str, embedded: bool, usual_port: int) -> str:
    if embedded:
        return f"{scheme}://localhost:{usual_port}"
    parts = urlsplit(url if "://" in url else f"//{url}")
    return f"{scheme}://{parts.hostname or url}" + (f":{parts.port}" if parts.port else "")


def _repository(url: str, embedded: bool) -> str:
    """The data repository without credentials; ssh's host:path is written as a path."""
    if embedded or not url:
        return "git://localhost/data"
    parts = urlsplit(url if "://" in url else "ssh://" + url.replace(":", "/", 1))
    return f"git://{parts.hostname or 'localhost'}/{parts.path.strip('/').removesuffix('.git')}"
