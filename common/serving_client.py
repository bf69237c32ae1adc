"""Serving a model through KServe: declare it, wait until it answers, ask it.

`deploy` is the one function that writes an InferenceService. It leaves the service alone while a canary or an
experiment without a verdict is on it.
"""

import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from common import retry
from common.errors import DeadlineExceeded, GateRefused, InvalidData, StepFailed, Unavailable
from common.k8s_client import Document, Kubernetes
from common.k8s_errors import NoSuchKind
from common.serving_manifests import (
    Deployment,
    differences,
    has_canary,
    inference_service,
    is_undecided,
    serving_runtime,
)
from common.serving_status import is_current, is_ready, load_failure
from common.settings import Kserve, Minio

if TYPE_CHECKING:
    import requests

    from common.canary_client import Canaries

CONNECT_SECONDS, READ_SECONDS = 3, 10
POLL_SECONDS = 0.25
STALE_FAILURE_SECONDS = 20.0


@dataclass(frozen=True)
class Prediction:
    """Probabilities in the order of the rows; `digest` of the model that gave them, "" where the server says none."""

    probabilities: tuple[float, ...]
    digest: str


class ModelNotServed(StepFailed):
    """KServe says that the model cannot be loaded, and why."""


class Serving:
    """InferenceServices of one API server."""

    def __init__(self, kubernetes: Kubernetes, kserve: Kserve, minio: Minio) -> None:
        self._kubernetes, self._kserve, self._minio = kubernetes, kserve, minio

    @cached_property
    def canaries(self) -> "Canaries":
        """Versions beside the champion."""
        from common.canary_client import Canaries

        return Canaries(self, self._kubernetes, self._kserve, self._minio)

    def live(self, namespace: str, service: str) -> Document | None:
        """The InferenceService as it stands in the cluster, or None."""
        return self._kubernetes.get("InferenceService", service, namespace)

    def deploy(self, wanted: Deployment) -> Document:
        """Declare that this version, and no other, is served. Raises GateRefused while a canary is on the service.

        What others changed in the meantime is put right, and they are named in the log.
        """
        if self.is_in_canary(wanted.namespace, wanted.service):
            raise GateRefused(
                f"InferenceService {wanted.place} is in a canary; it is left alone.",
                "Let the experiment end, or roll it back.",
            )
        self._kubernetes.declare(serving_runtime(wanted.namespace, self._kserve, self._minio))
        return self._kubernetes.declare(inference_service(wanted, self._kserve, self._minio))

    def is_in_canary(self, namespace: str, service: str) -> bool:
        """True while traffic is split, or an experiment on the service has no verdict."""
        live = self.live(namespace, service)
        return live is not None and (has_canary(live) or self.has_running_experiment(namespace, service))

    def has_running_experiment(self, namespace: str, service: str) -> bool:
        """True while an Iter8 Experiment on the service has not ended; False where Iter8's kinds are not installed."""
        try:
            experiments = self._kubernetes.list("Experiment", namespace)
        except NoSuchKind:
            return False
        targets = {service, f"{namespace}/{service}"}
        return any(each["spec"].get("target") in targets and is_undecided(each) for each in experiments)

    def drift(self, wanted: Deployment) -> list[str]:
        """How the cluster differs from what `deploy` would declare: nothing, paths, or that it is not there."""
        found = []
        for declared in (
            serving_runtime(wanted.namespace, self._kserve, self._minio),
            inference_service(wanted, self._kserve, self._minio),
        ):
            kind, name = declared["kind"], declared["metadata"]["name"]
            live = self._kubernetes.get(kind, name, wanted.namespace)
            paths = ["is missing"] if live is None else differences(declared, live)
            found += [f"{kind} {name} {path}" for path in paths]
        return found

    def wait_until_ready(self, wanted: Deployment) -> str:
        """Wait until this very version answers; returns the URL of the service.

        Raises ModelNotServed as soon as KServe says that it cannot be loaded, and DeadlineExceeded.
        """
        end, failing_since = time.monotonic() + self._kserve.ready_seconds, 0.0
        while time.monotonic() < end:
            live = self.live(wanted.namespace, wanted.service)
            if live is None:
                raise StepFailed(f"InferenceService {wanted.place} was deleted while we waited for it.")
            failure = load_failure(live.get("status", {}).get("modelStatus", {}))
            failing_since = (failing_since or time.monotonic()) if failure else 0.0
            if failure and (is_current(live) or time.monotonic() - failing_since > STALE_FAILURE_SECONDS):
                raise ModelNotServed(f"KServe cannot serve {wanted.place} from {wanted.uri}: {failure}")
            if is_ready(live) and self._served_digests(live) in ({wanted.digest}, set()):
                return str(live["status"]["url"])
            time.sleep(POLL_SECONDS)
        raise DeadlineExceeded(
            f"InferenceService {wanted.place} was not ready within {self._kserve.ready_seconds} s.",
            "Look at its status and events; raise kserve.ready_seconds if the cluster is slow.",
        )

    def _served_digests(self, live: Document) -> set[str]:
        """What the model server says it serves: KServe reports Ready while the version before still answers."""
        path = f"/v2/models/{live['metadata']['name']}"
        url, headers = self._address(live, path)
        try:
            response = self._session.get(url, headers=headers, timeout=(CONNECT_SECONDS, READ_SECONDS))
            answer = response.json() if response.status_code == 200 else {"versions": ["not ready"]}
        except (OSError, ValueError):
            return {"no answer"}
        return set(answer.get("versions") or ())

    def predict(self, namespace: str, service: str, rows: list[dict[str, Any]], *, golden: bool = False) -> Prediction:
        """Ask the service, in KServe's V1 protocol. Golden predictions are marked as such in the prediction log."""
        live = self.live(namespace, service)
        if live is None or "status" not in live:
            raise Unavailable(f"InferenceService {namespace}/{service} is not there.", "Run UC1's last step.")
        url, headers = self._address(live, f"/v1/models/{service}:predict")
        # A prediction changes nothing, so it may be repeated: that is what the key tells the retry policy.
        headers |= {"Idempotency-Key": "prediction"} | ({"x-golden": "true"} if golden else {})
        response = self._ask(url, headers, {"instances": rows})
        if response.status_code == 400:
            raise InvalidData(f"The model server refused the rows: {response.json().get('error', '')}")
        if response.status_code != 200:
            raise Unavailable(f"The model server at {url} answered {response.status_code}: {response.text[:200]}")
        return Prediction(tuple(response.json()["predictions"]), response.headers.get("x-model-digest", ""))

    def _ask(self, url: str, headers: dict[str, str], body: Any) -> "requests.Response":
        import requests

        @retry.http
        def post() -> requests.Response:
            return self._session.post(url, json=body, headers=headers, timeout=(CONNECT_SECONDS, READ_SECONDS))

        try:
            return post()
        except requests.RequestException as error:
            raise Unavailable(
                f"The model server at {url} does not answer ({type(error).__name__}).", "Is the service ready?"
            ) from error

    def _address(self, live: Document, path: str) -> tuple[str, dict[str, str]]:
        """Where to send a request: the ingress with the service's host name, else the service's own address."""
        status = live["status"]
        if self._kserve.ingress_url:
            return self._kserve.ingress_url.rstrip("/") + path, {"Host": urlsplit(status["url"]).netloc}
        return str(status.get("address", {}).get("url") or status["url"]).rstrip("/") + path, {}

    @cached_property
    def _session(self) -> "requests.Session":
        import requests

        return requests.Session()
