"""Feast's own configuration, made from ours: which registry, which stores, whose keys; and a quick, quiet import.

The registry and the online store are in PostgreSQL, schema `feast`; or, with `feast.online_store: sqlite`, in
files of the state directory. No secret is written down: the source names its keys by reference, and Feast asks
us for them when it reads.
"""

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from common.errors import MlopsError, StepFailed, Unavailable
from common.paths import state_dir
from common.postgres import CONNECT_SECONDS
from common.settings import Settings

SCHEMA = "feast"
WRITE_ROWS = 50_000  # always set: without it Feast writes the first Arrow chunk only, and says nothing
NOISY = ("feast", "dask", "pandas", "s3fs", "aiobotocore", "botocore", "google", "pydantic")


def in_postgres(settings: Settings) -> bool:
    """True where registry and online store are in PostgreSQL, False where they are files."""
    return settings.feast.online_store == "postgres"


def directory() -> Path:
    """Where files are, with feast.online_store: sqlite."""
    return state_dir() / "feast"


def open_shared(settings: Settings) -> Any:
    """The feature store that everybody shares, as a feast.FeatureStore."""
    if not in_postgres(settings):
        return open_local(settings, directory())
    postgres = settings.postgres
    url = postgres.url(connect_timeout=str(CONNECT_SECONDS), options=f"-csearch_path={SCHEMA}")
    return _open(
        project=settings.feast.project,
        registry={"registry_type": "sql", "path": url.render_as_string(hide_password=False)},
        online_store={
            "type": "common.feast_postgres.CopyOnlineStore", "db_schema": SCHEMA, "host": postgres.host,
            "port": postgres.port, "database": postgres.database, "user": postgres.user,
            "password": postgres.password.get_secret_value(), "sslmode": postgres.sslmode,
        },
    )  # fmt: skip


def open_local(settings: Settings, place: Path) -> Any:
    """A feature store whose registry and online store are files in `place`."""
    place.mkdir(parents=True, exist_ok=True)
    return _open(
        project=settings.feast.project,
        registry={"registry_type": "file", "path": str(place / "registry.db")},
        online_store={"type": "sqlite", "path": str(place / "online.db")},
    )


def _open(**config: Any) -> Any:
    feast = import_feast()
    return feast.FeatureStore(
        config=feast.RepoConfig(
            provider="local",
            offline_store={"type": "dask"},  # reads S3; DuckDB's S3 extension would have to be downloaded
            entity_key_serialization_version=3,
            materialization={"online_write_batch_size": WRITE_ROWS},
            **config,
        )
    )


def import_feast() -> ModuleType:
    """Import Feast without typeguard's instrumentation: 1.7 s in place of 4.6.

    Feast decorates its classes with @typechecked, which parses a module's whole source again for each method.
    """
    if "feast" not in sys.modules:
        import typeguard

        original: Any = typeguard.typechecked
        plain: Any = _unchanged
        typeguard.typechecked = plain
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import feast
        finally:
            typeguard.typechecked = original
    import feast

    module: ModuleType = feast
    return module


def _unchanged(target: Any = None, **_: Any) -> Any:
    return target if target is not None else _unchanged


def s3_arguments(settings: Settings) -> dict[str, Any]:
    """The keyword arguments of FileSource that say where the object store is, and whose keys open it.

    Without configured keys the store's own chain is asked (a role of the pod, for one).
    """
    place = {"s3_endpoint_override": settings.minio.url}
    if not settings.minio.access_key:
        return place
    from feast.credentials import ConnectionRef, CredentialProvider, register_credential_provider

    class SettingsProvider(CredentialProvider):  # type: ignore[misc]
        def provider_type(self) -> str:
            return "settings"

        def resolve(self, ref: Any) -> dict[str, str]:  # noqa: ARG002 - Feast's interface; we have one store
            return {
                "AWS_ACCESS_KEY_ID": settings.minio.access_key,
                "AWS_SECRET_ACCESS_KEY": settings.minio.secret_key.get_secret_value(),
                "AWS_DEFAULT_REGION": settings.minio.region,
            }

    register_credential_provider(SettingsProvider())
    return {**place, "connection_ref": ConnectionRef(provider="settings", name="minio")}


@contextlib.contextmanager
def guarded(settings: Settings, doing: str) -> Iterator[None]:
    """Calls to Feast: nothing on stdout, which belongs to our data, and errors in our words."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), _own_aws_variables(settings):
        for module in NOISY:  # they warn about their own internals
            warnings.filterwarnings("ignore", module=rf"{module}(\..*)?")
        try:
            yield
        except MlopsError:
            raise
        except Exception as error:  # Feast has no error type of its own: whatever a store raises comes through
            raise _explained(error, doing, settings) from error


@contextlib.contextmanager
def _own_aws_variables(settings: Settings) -> Iterator[None]:
    """Hide the user's AWS_* variables and files from Feast's S3 libraries, where we have keys of our own.

    botocore takes the CA of the object store from one of them.
    """
    theirs = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    nothing = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    if not settings.minio.access_key:
        theirs, nothing = {}, {}
    if settings.minio.ca_file:
        nothing["AWS_CA_BUNDLE"] = settings.minio.ca_file
    for name in theirs:
        del os.environ[name]
    os.environ.update(nothing)
    try:
        yield
    finally:
        for name in nothing:
            del os.environ[name]
        os.environ.update(theirs)


def _explained(error: Exception, doing: str, settings: Settings) -> MlopsError:
    from common import retry
    from common.minio_errors import of_arrow

    if ours := of_arrow(error, settings.minio, ""):
        return ours
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    if retry.feast.is_transient(error):
        return Unavailable(
            f"Feast could not {doing}: PostgreSQL at {settings.postgres.address} or S3 at {settings.minio.url} "
            f"does not answer ({type(error).__name__}).",
            "`python -m common doctor` shows which.",
        )
    return StepFailed(f"Feast could not {doing}: {type(error).__name__}: {first_line}")
