"""Schedules as CronJobs: one at a time, late or not at all, with deadlines, as an ordinary user."""

from collections.abc import Sequence
from typing import Any

from common.errors import ConfigError
from common.k8s_client import Kubernetes
from common.schedule_entries import Entry
from common.settings import Settings

Document = dict[str, Any]
USER = 10001  # as in deploy/Dockerfile
SETTINGS = "mlops-settings"  # ConfigMap and Secret, as for the components of pipelines
APP = "mlops-schedule"
VOLUMES = {"state": "/app/.state", "tmp": "/tmp"}  # noqa: S108 (of the pod's own)
RUN_RESOURCES = {
    "requests": {"cpu": "500m", "memory": "1Gi", "ephemeral-storage": "2Gi"},
    "limits": {"cpu": "2", "memory": "4Gi", "ephemeral-storage": "20Gi"},
}
PING_RESOURCES = {
    "requests": {"cpu": "10m", "memory": "64Mi", "ephemeral-storage": "10Mi"},
    "limits": {"cpu": "500m", "memory": "256Mi", "ephemeral-storage": "100Mi"},
}


class CronJobs:
    """The entries as objects in the namespace `schedules.namespace`; deploy/k8s holds what they stand on."""

    def __init__(self, entries: Sequence[Entry], settings: Settings) -> None:
        self._entries, self._settings = entries, settings
        self._kubernetes = Kubernetes(settings.kubernetes)

    def documents(self) -> list[Document]:
        """The CronJobs."""
        return [cron_job(entry, self._settings) for entry in self._entries]

    def text(self) -> str:
        """The same as YAML, for kubectl and kustomize."""
        import yaml

        class Plain(yaml.SafeDumper):
            """Without anchors: people read it, and kustomize patches it."""

            def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 (the name is the base class's)
                return True

        return yaml.dump_all(self.documents(), Dumper=Plain, sort_keys=False, width=110)

    def install(self) -> str:
        """Apply them, and delete those of ours that are no longer configured."""
        self._refuse_the_laptop()
        for document in self.documents():
            self._kubernetes.declare(document)
        for name in self._live() - {document["metadata"]["name"] for document in self.documents()}:
            self._kubernetes.delete("CronJob", name, self._settings.schedules.namespace)
        return f"Applied in {self._settings.schedules.namespace}: {', '.join(each.name for each in self._entries)}."

    def remove(self) -> str:
        """Delete ours."""
        self._refuse_the_laptop()
        live = sorted(self._live())
        for name in live:
            self._kubernetes.delete("CronJob", name, self._settings.schedules.namespace)
        return f"Deleted: {', '.join(live)}." if live else "There is no CronJob of ours."

    def states(self) -> dict[str, str]:
        """Name -> "installed" or "not installed"."""
        self._refuse_the_laptop()
        live = self._live()
        return {each.name: "installed" if _name(each) in live else "not installed" for each in self._entries}

    def _live(self) -> set[str]:
        found = self._kubernetes.list("CronJob", self._settings.schedules.namespace, f"app.kubernetes.io/part-of={APP}")
        return {each["metadata"]["name"] for each in found}

    def _refuse_the_laptop(self) -> None:
        if self._settings.kubernetes.embedded:
            raise ConfigError(
                "The laptop's platform runs no CronJobs.",
                "Use --target cron or systemd here; with --env staging or production this goes to the cluster.",
            )


def cron_job(entry: Entry, settings: Settings) -> Document:
    """The CronJob of an entry."""
    section = settings.schedules
    labels = {"app.kubernetes.io/part-of": APP, "app.kubernetes.io/name": _name(entry)}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": _name(entry), "namespace": section.namespace, "labels": labels},
        "spec": {
            "schedule": entry.schedule.cron,
            "timeZone": section.time_zone,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": section.late_seconds,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {
                "spec": {
                    # A run that a gate refused would be refused again: the next start is the next try.
                    "backoffLimit": 0,
                    "activeDeadlineSeconds": entry.schedule.deadline_seconds,
                    "ttlSecondsAfterFinished": 7 * 24 * 3600,
                    "template": {
                        "metadata": {
                            "labels": labels,
                            "annotations": {"kubectl.kubernetes.io/default-container": "run"},
                        },
                        "spec": _pod(entry, settings),
                    },
                }
            },
        },
    }


def _pod(entry: Entry, settings: Settings) -> Document:
    """The run is an init container: what follows it, the heartbeat, comes after a success and only then.

    Neither is started by a shell, so that SIGTERM reaches the run itself.
    """
    return {
        "restartPolicy": "Never",
        "serviceAccountName": "mlops-steps",
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [_container("run", entry.run, settings.kubeflow.image, RUN_RESOURCES)],
        "containers": [_container("heartbeat", entry.ping, settings.kubeflow.image, PING_RESOURCES)],
        "volumes": [{"name": name, "emptyDir": {"sizeLimit": "10Gi"}} for name in VOLUMES],
    }


def _container(name: str, command: list[str], image: str, resources: Document) -> Document:
    """The root file system is read-only: what a run keeps for itself goes to the two volumes."""
    return {
        "name": name,
        "image": image,
        "command": command,
        "workingDir": "/app",
        "envFrom": [{"configMapRef": {"name": SETTINGS}}, {"secretRef": {"name": SETTINGS}}],
        "env": [{"name": "MLOPS_STATE_DIR", "value": VOLUMES["state"]}, {"name": "HOME", "value": VOLUMES["tmp"]}],
        "resources": resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": volume, "mountPath": path} for volume, path in VOLUMES.items()],
    }


def _name(entry: Entry) -> str:
    return f"mlops-{entry.name.replace('_', '-')}"
