"""One client per config section, made when first used. The only place that chooses between two clients.

`tools.postgres` is described by the section `postgres`, and files that use it end in `_postgres`.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from common.paths import state_dir

if TYPE_CHECKING:
    from common.alerts import Alerts
    from common.argocd_client import Applications
    from common.dvc_client import DataRepository
    from common.feast_client import FeatureStoreClient
    from common.git_client import GitRepository
    from common.iter8_client import Experiments
    from common.k8s_client import Kubernetes
    from common.kubeflow_client import ClusterPipelines, LocalPipelines
    from common.marquez_client import Marquez
    from common.metrics_client import Metrics
    from common.minio_client import ObjectStore
    from common.postgres import Postgres
    from common.registry import Registry
    from common.serving_client import Serving
    from common.settings import Settings
    from common.traffic import Traffic


class EffectLog(Protocol):
    """Where effects are noted."""

    def effect(self, kind: str, target: str, facts: dict[str, Any]) -> None:
        """Note that `target` was made or changed."""

    def knows(self, kind: str, target: str, facts: dict[str, Any]) -> bool:
        """Is the newest note of this step about `target` one that says so?"""


class _Nowhere:
    def effect(self, kind: str, target: str, facts: dict[str, Any]) -> None:
        """A step called without a runner, as tests do, notes nothing."""

    def knows(self, kind: str, target: str, facts: dict[str, Any]) -> bool:  # noqa: ARG002 (there is nothing to know)
        return True


@dataclass(frozen=True)
class Context:
    """The run that a step is part of. `key` is the idempotency key of the step's effects."""

    run_id: str = "test"
    step: str = "test"
    key: str = "test"
    log: EffectLog = field(default_factory=_Nowhere)

    def effect(self, kind: str, target: str, made: bool = True, /, **facts: Any) -> None:
        """Note in the ledger that the step changed the world: kind such as "object", and its name there.

        What was not `made` now, but found, is noted where it is not known: who made it was killed before it could say.
        """
        if made or not self.log.knows(kind, target, facts):
            self.log.effect(kind, target, facts)


class Tools:
    """The clients that steps are handed. Nothing connects before it is used."""

    def __init__(self, settings: "Settings", context: Context | None = None) -> None:
        self.settings = settings
        self.context = context or Context()

    def within(self, context: Context) -> "Tools":
        """The same clients for another step of the run."""
        other = Tools(self.settings, context)
        clients = {name: client for name, client in vars(self).items() if name not in ("settings", "context")}
        vars(other).update(clients)
        return other

    @cached_property
    def postgres(self) -> "Postgres":
        from common.postgres import Postgres

        return Postgres(self.settings.postgres)

    @cached_property
    def minio(self) -> "ObjectStore":
        from common.minio_client import ObjectStore

        return ObjectStore(self.settings.minio)

    @cached_property
    def dvc(self) -> "DataRepository":
        from common.dvc_client import DataRepository

        return DataRepository(self.settings, state_dir() / "dvc")

    @cached_property
    def feast(self) -> "FeatureStoreClient":
        from common.feast_client import FeatureStoreClient

        return FeatureStoreClient(self.settings)

    @cached_property
    def mlflow(self) -> "Registry":
        from common.registry import Registry

        return Registry(self.settings.mlflow)

    @cached_property
    def kubeflow(self) -> "LocalPipelines | ClusterPipelines":
        from common.kubeflow_client import ClusterPipelines, LocalPipelines

        return LocalPipelines() if self.settings.kubeflow.embedded else ClusterPipelines(self.settings.kubeflow)

    @cached_property
    def kubernetes(self) -> "Kubernetes":
        from common.k8s_client import Kubernetes

        return Kubernetes(self.settings.kubernetes)

    @cached_property
    def kserve(self) -> "Serving":
        from common.serving_client import Serving

        return Serving(self.kubernetes, self.settings.kserve, self.settings.minio)

    @cached_property
    def iter8(self) -> "Experiments":
        from common.iter8_client import Experiments

        return Experiments(self.kubernetes)

    @cached_property
    def git(self) -> "GitRepository":
        from common.git_client import GitRepository

        return GitRepository(self.settings.git, state_dir() / "git")

    @cached_property
    def argocd(self) -> "Applications":
        from common.argocd_client import KubernetesApplications
        from common.argocd_rest import RestApplications

        section = self.settings.argocd
        if section.server and not section.embedded:
            return RestApplications(section)
        return KubernetesApplications(self.kubernetes, section)

    @cached_property
    def prometheus(self) -> "Metrics":
        from common.metrics_client import PrometheusMetrics, ScrapedMetrics

        section = self.settings.prometheus
        return ScrapedMetrics(section) if section.embedded else PrometheusMetrics(section)

    @cached_property
    def marquez(self) -> "Marquez":
        from common.marquez_client import Marquez

        return Marquez(self.settings.marquez)

    @cached_property
    def traffic(self) -> "Traffic":
        from common.traffic import LiveTraffic, ReplayTraffic

        section = self.settings.traffic
        return ReplayTraffic(section, self.settings.kserve) if section.source == "replay" else LiveTraffic()

    @cached_property
    def alerts(self) -> "Alerts":
        from common.alerts import Alerts

        return Alerts(self.settings.alerts, self.minio)
