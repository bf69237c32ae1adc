"""A version beside the champion, in one InferenceService: put there, given a larger share, promoted, taken out again.

Every method may be repeated after a kill and ends the same. None returns before KServe's status says that it is so,
because KServe accepts in silence what it does not do.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from common.canary_forms import (
    KNATIVE,
    STANDARD,
    Revisions,
    has_spec_canary,
    is_alone,
    knows_spec_canary,
    kserve_version,
    mode_of,
    progress,
    seen,
)
from common.errors import AccessRefused, DeadlineExceeded, MlopsError, StepFailed
from common.k8s_client import Document, Kubernetes
from common.k8s_errors import NoSuchKind
from common.logger import get_logger
from common.serving_client import POLL_SECONDS, ModelNotServed, Serving
from common.serving_manifests import (
    KEY_NOTE,
    Canary,
    Deployment,
    LiveCanary,
    canary_notes,
    champion_digest,
    inference_service,
    live_canary,
    revision_name,
)
from common.serving_status import is_current
from common.settings import Kserve, Minio

DEFINITION = "inferenceservices.serving.kserve.io"
CONTROLLER, CONTROLLER_NAMESPACE = "kserve-controller-manager", "kserve"
WITHDRAWN_NOTE = "mlops/withdrawn-revision"
FORM_HINT = "Use KServe 0.20 or newer, or its Knative mode (kserve.deployment_mode)."
log = get_logger(__name__)


class CanaryNotHonoured(StepFailed):
    """This KServe does nothing with a canary: neither of its two forms works here."""


class Canaries:
    """Canaries of one API server's InferenceServices."""

    def __init__(self, serving: Serving, kubernetes: Kubernetes, kserve: Kserve, minio: Minio) -> None:
        self._serving, self._kubernetes, self._kserve, self._minio = serving, kubernetes, kserve, minio

    def live(self, namespace: str, service: str) -> LiveCanary | None:
        """The canary that the service has now, at 0 percent too."""
        found = self._serving.live(namespace, service)
        return live_canary(found) if found else None

    def form(self, champion: Deployment) -> str:
        """The form that this cluster honours, "Standard" or "Knative". Raises CanaryNotHonoured."""
        mode = mode_of(self._serving.live(champion.namespace, champion.service), self._kserve.deployment_mode)
        if mode == KNATIVE:
            return mode
        if mode != STANDARD:
            raise CanaryNotHonoured(f"KServe serves {champion.place} in mode {mode}, which knows no canary.", FORM_HINT)
        known = knows_spec_canary(self._look("CustomResourceDefinition", DEFINITION))
        version = "" if known is not None else self._version()
        if known is False or (version and not has_spec_canary(version)):
            which = f"KServe {version}" if version else "this KServe (its CRD has no spec.canary)"
            raise CanaryNotHonoured(f"{which} ignores canaries in Standard mode, that of {champion.place}.", FORM_HINT)
        return mode

    def deploy(self, champion: Deployment, canary: Canary) -> None:
        """Put the canary beside the champion and wait until both have their share.

        Where it cannot be loaded, is not ready in time or never shows up in the status, it is taken out again, and
        ModelNotServed, DeadlineExceeded or CanaryNotHonoured says what was seen.
        """
        form = self.form(champion)
        self._require_champion(champion, form)
        self._declare(champion, form, canary)
        try:
            self._wait_for_share(champion, form, canary)
        except (StepFailed, DeadlineExceeded):
            self._take_out(champion, canary)
            raise

    def shift(self, champion: Deployment, canary: Canary) -> None:
        """Give the canary its percent, and return when the status says so. Raises what `deploy` raises."""
        form = self._mode(champion)
        self._declare(champion, form, canary)
        self._wait_for_share(champion, form, canary)

    def promote(self, candidate: Deployment) -> None:
        """Serve the candidate alone, and return when it answers and nothing else does."""
        self._serve_alone(candidate, self._mode(candidate))

    def withdraw(self, champion: Deployment, canary: Canary) -> None:
        """Take all traffic from the canary at once, then remove it; returns when the champion answers alone.

        From 100 percent in Knative's form, which is a rollout already, it lasts until the champion has started again.
        """
        form = self._mode(champion)
        live = self.live(champion.namespace, champion.service)
        if live is not None and live.percent:
            self._declare(champion, form, replace(canary, percent=0))
            self._wait_for_no_traffic(champion, form, canary)
        if live is not None and form == KNATIVE:
            self._return_to_the_champion(champion, canary)
        self._serve_alone(champion, form)

    def _return_to_the_champion(self, champion: Deployment, canary: Canary) -> None:
        """Make the champion Knative's newest ready revision, at 0 percent still.

        Without canaryTrafficPercent all traffic goes to the newest ready revision, and until now that is the canary.
        """
        live = self._required(champion)
        withdrawn = live["metadata"]["annotations"].get(WITHDRAWN_NOTE) or Revisions.of(live).created
        document = self._document(champion, KNATIVE)
        document["spec"]["predictor"]["canaryTrafficPercent"] = 0
        document["metadata"]["annotations"] |= canary_notes(canary) | {WITHDRAWN_NOTE: withdrawn}
        self._kubernetes.declare(document)

        def is_newest(service: Document) -> bool:
            newest = Revisions.of(service)
            return is_current(service) and newest.is_ready and newest.created != withdrawn

        self._wait(champion, KNATIVE, is_newest, "did not make the champion its newest revision")

    def _serve_alone(self, wanted: Deployment, form: str) -> None:
        self._declare(wanted, form)
        self._wait(wanted, form, lambda live: is_alone(live, form), "did not end the canary")
        self._serving.wait_until_ready(wanted)

    def _take_out(self, champion: Deployment, canary: Canary) -> None:
        """Withdraw after a failure, which is what the caller hears of, whatever happens here."""
        try:
            self.withdraw(champion, canary)
        except MlopsError as error:
            log.warning("the canary could not be taken out", service=champion.place, cause=error.message)

    # Declaring

    def _declare(self, champion: Deployment, form: str, canary: Canary | None = None) -> None:
        self._kubernetes.declare(self._document(champion, form, canary))

    def _document(self, champion: Deployment, form: str, canary: Canary | None = None) -> Document:
        """The manifest, with the key that the service has: KServe restarts pods whose annotations change."""
        live = self._serving.live(champion.namespace, champion.service) or {"metadata": {}}
        key = (live["metadata"].get("annotations") or {}).get(KEY_NOTE, champion.key)
        kserve = self._kserve.model_copy(update={"deployment_mode": form})
        return inference_service(replace(champion, key=key), kserve, self._minio, canary)

    # Looking

    def _mode(self, wanted: Deployment) -> str:
        return mode_of(self._serving.live(wanted.namespace, wanted.service), self._kserve.deployment_mode)

    def _look(self, kind: str, name: str, namespace: str = "") -> Document | None:
        """The object, or None also where we may not look, or the server does not serve its kind."""
        try:
            return self._kubernetes.get(kind, name, namespace)
        except (AccessRefused, NoSuchKind):
            return None

    def _version(self) -> str:
        return kserve_version(self._look("Deployment", CONTROLLER, CONTROLLER_NAMESPACE))

    def _required(self, wanted: Deployment) -> Document:
        live = self._serving.live(wanted.namespace, wanted.service)
        if live is None:
            raise StepFailed(f"InferenceService {wanted.place} is not there.", "Run UC1's last step.")
        return live

    def _require_champion(self, champion: Deployment, form: str) -> None:
        """Raise unless the champion is what stays when a canary joins."""
        served = champion_digest(self._required(champion))
        if served != champion.digest:
            raise StepFailed(
                f"InferenceService {champion.place} serves {served[:12] or 'a model of somebody else'}, "
                f"not the champion {champion.digest[:12]}.",
                "Run UC1's last step.",
            )
        if form == KNATIVE:  # before the first rollout Knative would give the canary everything
            rolled_out = "has no rolled-out revision, without which KServe ignores canaryTrafficPercent"
            self._wait(champion, form, lambda live: bool(Revisions.of(live).rolled_out), rolled_out)

    # Waiting

    def _wait_for_share(self, champion: Deployment, form: str, canary: Canary) -> None:
        name = revision_name(canary.deployment.version)

        def has_its_share(live: Document) -> bool:
            now = progress(live, form, name)
            if now.failure:
                raise ModelNotServed(f"KServe cannot serve {name} beside {champion.place}: {now.failure}")
            return now.percent == canary.percent and (now.ready or not canary.percent)

        try:
            self._wait(champion, form, has_its_share, f"did not give {name} its {canary.percent} %")
        except DeadlineExceeded as late:
            if progress(self._required(champion), form, name).percent is not None:
                raise
            raise CanaryNotHonoured(f"KServe {self._version()} ignores the canary: {late.message}", FORM_HINT) from late

    def _wait_for_no_traffic(self, champion: Deployment, form: str, canary: Canary) -> None:
        """Wait, but go on without a confirmation too: the canary has to go."""
        name = revision_name(canary.deployment.version)

        def is_out(live: Document) -> bool:
            if form == STANDARD:
                return not progress(live, form, name).percent
            newest = Revisions.of(live)
            return is_current(live) and (not newest.percent or newest.created == newest.rolled_out)

        try:
            self._wait(champion, form, is_out, f"did not take the traffic from {name}")
        except DeadlineExceeded as late:
            log.warning("going on without a confirmation", cause=late.message)

    def _wait(self, wanted: Deployment, form: str, is_so: Callable[[Document], bool], failing: str) -> None:
        """Wait until the service is so. Raises DeadlineExceeded with what failed and what the status says instead."""
        end = time.monotonic() + self._kserve.ready_seconds
        while not is_so(live := self._required(wanted)):
            if time.monotonic() > end:
                raise DeadlineExceeded(
                    f"InferenceService {wanted.place} {failing} within {self._kserve.ready_seconds} s: "
                    f"{seen(live, form)}.",
                    "Look at its status and events; raise kserve.ready_seconds if the cluster is slow.",
                )
            time.sleep(POLL_SECONDS)
