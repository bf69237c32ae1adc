"""UC6 step 2: have Argo CD make the cluster what git says, and ask the endpoint whether it is.

Reads    the overlay at the branch's head; the Application's status; the model's golden predictions
Writes   AppProject and Application, in Kubernetes; with --rollback a commit that takes back, tags of the held version
Returns  SyncedDeployment: Synced and Healthy at our commit, and the golden predictions agreed
Raises   NotDelivered (exit 1) with Argo CD's reason; DeadlineExceeded (124) after --timeout

Run it alone:  python uc6_gitops_deployment/uc6_02_sync_argocd.py --timeout 120
               python uc6_gitops_deployment/uc6_02_sync_argocd.py --rollback
"""

from collections.abc import Callable
from typing import Any

from common.argocd_client import deliver, refuse_unreachable
from common.argocd_manifests import Delivery, application
from common.argocd_status import is_delivered, revision, words
from common.cli import main
from common.errors import StepFailed
from common.flags import Flag
from common.git_command import address
from common.golden import golden_answers
from common.serving_manifests import Deployment, differences, service_name
from common.serving_status import is_ready
from common.settings_uc6 import LAST
from common.step import step
from common.tools import Tools
from uc6_gitops_deployment import overlay
from uc6_gitops_deployment.results import PromotedModel, SyncedDeployment
from uc6_gitops_deployment.rollback import take_back

SHOWN_COMMITS = 10
FLAGS = (
    Flag("--timeout", "uc6.timeout_seconds", "SECONDS", "how long the roll-out may take"),
    Flag("--rollback", "uc6.rollback", "COMMIT", "take back the last promotion, or COMMIT and all after it", LAST),
)


@step(
    needs=("mlflow", "minio", "git", "argocd", "kserve"),
    settings=(
        "uc1.model_name", "uc6.to", "uc6.namespaces", "uc6.rollback", "argocd.namespace", "argocd.application",
        "argocd.project", "argocd.destination",
    ),
    deadline_seconds=1800,
)  # fmt: skip
def run(tools: Tools, promoted: PromotedModel) -> SyncedDeployment:
    """Take back where that is asked for; deliver the head of the branch; ask the endpoint."""
    rolled_back = take_back(tools) if tools.settings.uc6.rollback else ""
    head, wanted = tools.git.fetch(), delivery(tools)
    expected = deployment(tools, head)
    # Argo CD may have been quicker than we: what this run committed is this run's change all the same.
    was_there = is_declared(tools, head) and not rolled_back and not promoted.created
    live = deliver(tools.argocd, wanted, is_ours(tools, head), tools.settings.uc6.timeout_seconds)
    tools.context.effect("sync", wanted.name, commit=head, version=expected.version)
    url = tools.kserve.wait_until_ready(expected)
    golden = golden_answers(tools.minio, tools.kserve, expected)
    sync, health = words(live)
    return SyncedDeployment(
        application=wanted.name, environment=tools.settings.uc6.to, namespace=wanted.namespace,
        service=expected.service, version=expected.version, digest=expected.digest, sync=sync, health=health, url=url,
        commit=next(iter(tools.git.history(head, wanted.path)), head), golden_rows=golden.rows,
        max_difference=golden.max_difference, example=golden.example, rolled_back=rolled_back,
        was_there=was_there, history=history(tools, head),
    )  # fmt: skip


def observe(tools: Tools) -> dict[str, Any]:
    """Whether the live Application and InferenceService are as the remote's head says; how they are, when not."""
    head = tools.git.fetch()
    seen: dict[str, Any] = {"trees": trees(tools, head)}
    if is_declared(tools, head) and is_well(tools, head):
        return {**seen, "as_declared": True}
    live = tools.argocd.get(delivery(tools)) or {}
    service = tools.kserve.live(tools.settings.uc6.namespace, service_name(tools.settings.uc1.model_name)) or {}
    return {**seen, "application": words(live), "service": service.get("spec")}


def delivery(tools: Tools) -> Delivery:
    """The environment's overlay as Argo CD is asked for it. Raises ConfigError for an address that it cannot reach."""
    settings, uc6 = tools.settings, tools.settings.uc6
    name = settings.argocd.application or f"{service_name(settings.uc1.model_name)}-{uc6.to}"
    repository = address(settings.argocd.repository_url or settings.git.deployments_url)
    refuse_unreachable(settings, repository)
    return Delivery(
        name, settings.argocd.project or name, settings.argocd.namespace, repository, settings.git.branch,
        overlay.folder(uc6.to), settings.argocd.destination, uc6.namespace, not settings.argocd.project,
    )  # fmt: skip


def deployment(tools: Tools, head: str) -> Deployment:
    """What the overlay deploys. Raises StepFailed where there is none, or none of ours."""
    settings, environment = tools.settings, tools.settings.uc6.to
    found = overlay.declared(tools.git.files(head, overlay.folder(environment)), environment)
    if found is None:
        raise StepFailed(
            f"The deployments repository has no {overlay.folder(environment)}.", "Promote a version first."
        )
    return Deployment(settings.uc1.model_name, settings.uc6.namespace, found.version, found.digest, found.uri)


def trees(tools: Tools, commit: str) -> list[str]:
    """Names of the contents that decide what is deployed."""
    return [tools.git.tree(commit, each) for each in (overlay.folder(tools.settings.uc6.to), overlay.BASE)]


def is_ours(tools: Tools, head: str) -> Callable[[str], bool]:
    """Says of a commit whether it deploys what `head` does: others may push to other overlays while we wait."""
    ours = trees(tools, head)

    def is_equal(revision: str) -> bool:
        if revision in ("", head):
            return revision == head
        if not tools.git.find(revision):
            tools.git.fetch()  # pushed since
        return bool(tools.git.find(revision)) and trees(tools, revision) == ours

    return is_equal


def is_declared(tools: Tools, head: str) -> bool:
    """Is everything as git says, whether or not it is well? Then a sync only waits, and changes nothing."""
    wanted, expected = delivery(tools), deployment(tools, head)
    live = tools.argocd.get(wanted)
    service = tools.kserve.live(expected.namespace, expected.service)
    if live is None or service is None or differences(application(wanted)["spec"], live["spec"]):
        return False
    served = service["spec"]["predictor"].get("model", {}).get("storageUri")
    return words(live)[0] == "Synced" and is_ours(tools, head)(revision(live)) and served == expected.uri


def is_well(tools: Tools, head: str) -> bool:
    """Does Argo CD say Healthy, with nothing going on, and does KServe say that the model answers?"""
    live = tools.argocd.get(delivery(tools))
    service = tools.kserve.live(tools.settings.uc6.namespace, service_name(tools.settings.uc1.model_name))
    return bool(live and service) and is_delivered(live or {}, is_ours(tools, head)) and is_ready(service or {})


def history(tools: Tools, head: str) -> tuple[tuple[str, str, str], ...]:
    """The newest commits of the overlay, for the report: hash, time, subject."""
    commits = tools.git.history(head, overlay.folder(tools.settings.uc6.to))[:SHOWN_COMMITS]
    return tuple(
        (each[:12], f"{tools.git.time(each):%Y-%m-%d %H:%M} UTC", tools.git.message(each).splitlines()[0])
        for each in commits
    )


if __name__ == "__main__":
    main(__file__)
