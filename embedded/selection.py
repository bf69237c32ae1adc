"""Which services there are, and which of them the settings want on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from common.errors import UsageError
from common.settings import Settings
from embedded.layout import Layout
from embedded.services.git import Git
from embedded.services.kubernetes import Kubernetes
from embedded.services.marquez import Marquez
from embedded.services.minio import Minio
from embedded.services.mlflow import Mlflow
from embedded.services.postgres import Postgres
from embedded.services.service import Service

NAMES = ("postgres", "minio", "mlflow", "marquez", "kubernetes", "git")
OTHER_NAMES = {"dvc": "git"}  # sections that are served by another one's service


def services(layout: Layout, settings: Settings) -> list[Service]:
    """All services, those that others need first."""
    needed_by_kubernetes = ("minio",) if settings.minio.embedded else ()
    return [
        Postgres(layout),
        Minio(layout, settings.minio.bucket),
        Mlflow(layout),
        Marquez(layout),
        Kubernetes(layout, needed_by_kubernetes),
        Git(layout),
    ]


def embedded_names(settings: Settings) -> list[str]:
    """The services whose section, or a section that they serve, is embedded."""
    flags = {name: bool(section.embedded) for name, section in settings.services().items()}
    for section, name in OTHER_NAMES.items():
        flags[name] = flags.get(name, False) or flags.get(section, False)
    return [name for name in NAMES if flags.get(name)]


def chosen_names(settings: Settings, only: Sequence[str]) -> tuple[list[str], list[str]]:
    """What to start, and what was asked for but is not embedded. Raises UsageError for an unknown name."""
    embedded = embedded_names(settings)
    if not only:
        return embedded, []
    asked = list(dict.fromkeys(OTHER_NAMES.get(name, name) for name in only))
    unknown = [name for name in asked if name not in NAMES]
    if unknown:
        raise UsageError(f"There is no embedded service {unknown[0]!r}.", f"Known: {', '.join(NAMES)}.")
    return [name for name in asked if name in embedded], [name for name in asked if name not in embedded]
