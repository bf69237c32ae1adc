"""Iter8 Experiments: the record of a canary in the cluster, and where an Iter8 controller runs, its verdict.

What our monitor must remember between two runs stands in an annotation, written before what follows from it.
"""

import json
from collections.abc import Iterable
from typing import Any

from common.iter8_manifests import STATE_NOTE
from common.k8s_client import MANAGER, Document, Kubernetes
from common.k8s_errors import NoSuchKind
from common.serving_manifests import CONCLUDED_NOTE, is_undecided


class Experiments:
    """Experiments of one API server."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self._kubernetes = kubernetes

    def on(self, namespace: str, service: str) -> list[Document]:
        """Every Experiment on the service, oldest first; none where Iter8's kinds are not installed."""
        try:
            found = self._kubernetes.list("Experiment", namespace)
        except NoSuchKind:
            return []
        targets = (service, f"{namespace}/{service}")
        return sorted((each for each in found if each["spec"].get("target") in targets), key=_age)

    def get(self, name: str, namespace: str) -> Document | None:
        """The Experiment of this name, or None."""
        try:
            return self._kubernetes.get("Experiment", name, namespace)
        except NoSuchKind:
            return None

    def running(self, namespace: str, service: str) -> Document | None:
        """The oldest Experiment on the service that has not ended."""
        return next((each for each in self.on(namespace, service) if is_undecided(each)), None)

    def create(self, documents: Iterable[Document]) -> Document:
        """Make Metrics, then the Experiment, and return it; one of this name is left as it is."""
        ordered = sorted(documents, key=lambda each: each["kind"] == "Experiment")
        *metrics, experiment = ordered
        for metric in metrics:
            self._kubernetes.declare(metric)
        metadata = experiment["metadata"]
        known = self._kubernetes.get("Experiment", metadata["name"], metadata["namespace"])
        return known or self._kubernetes.declare(experiment)

    def state(self, experiment: Document) -> dict[str, Any] | None:
        """What `save` kept, or None."""
        text = (experiment["metadata"].get("annotations") or {}).get(STATE_NOTE)
        state: dict[str, Any] | None = json.loads(text) if text else None
        return state

    def save(self, name: str, namespace: str, state: dict[str, Any], *, concluded: bool = False) -> None:
        """Keep the monitor's state in the Experiment; `concluded` when nothing is left to do, whoever decided."""
        notes = {STATE_NOTE: json.dumps(state, sort_keys=True, separators=(",", ":"))}
        notes |= {CONCLUDED_NOTE: "true"} if concluded else {}
        self._kubernetes.merge_patch("Experiment", name, namespace, {"metadata": {"annotations": notes}})

    def report(self, name: str, namespace: str, status: Document) -> None:
        """Write the status: what it does not mention any more is removed."""
        live = self._kubernetes.get("Experiment", name, namespace) or {}
        patch = {"status": _replacing(live.get("status", {}), status)}
        self._kubernetes.merge_patch("Experiment", name, namespace, patch, status=True)

    def recommendation(self, experiment: Document) -> str | None:
        """The version that an Iter8 controller wants served, "" for no decision; None while it has not ended.

        Iter8 completes an experiment that it rolled back too, so that this alone says nothing. One that failed, or
        ended without a winner, says nothing of any version.
        """
        if is_undecided(experiment):
            return None
        status = experiment["status"]
        ended = {each["type"]: each for each in status["conditions"] if each["status"] == "True"}
        if "Failed" in ended:
            return ""
        if "rolled back" in ended["Completed"].get("message", ""):
            return str(experiment["spec"].get("versionInfo", {}).get("baseline", {}).get("name", ""))
        assessed = status.get("analysis", {}).get("winnerAssessment", {}).get("data", {})
        return str(status.get("versionRecommendedForPromotion", "")) if assessed.get("winnerFound") else ""

    def is_driven_by_another(self, experiment: Document) -> bool:
        """True when somebody else, an Iter8 controller, writes the status."""
        entries = experiment["metadata"].get("managedFields", [])
        return any(each.get("manager") != MANAGER and "f:status" in each.get("fieldsV1", {}) for each in entries)


def _replacing(old: Document, new: Document) -> Document:
    """The merge-patch that turns `old` into `new`."""
    patch: Document = {key: None for key in old if key not in new}
    for key, value in new.items():
        both = isinstance(value, dict) and isinstance(old.get(key), dict)
        patch[key] = _replacing(old[key], value) if both else value
    return patch


def _age(experiment: Document) -> tuple[str, str]:
    metadata = experiment["metadata"]
    return metadata.get("creationTimestamp", ""), metadata["name"]
