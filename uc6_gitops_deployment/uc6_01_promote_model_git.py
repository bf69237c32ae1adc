"""UC6 step 1: promote the champion to production, by one commit in the deployments repository.

Reads    the registry's champion, or the version asked for: gates, approval; the branch's head
Writes   the environment's overlay, one commit with trailers, pushed with a lease; the approval, as tags of the version
Returns  PromotedModel; without a commit where the overlay has that version already, whoever changed the rest
Raises   GateRefused (exit 3) without passed gates or an approval, with the command to approve; BadName (65) for a name

Run it alone:  python uc6_gitops_deployment/uc6_01_promote_model_git.py --approve ada
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from common.cli import main
from common.errors import GateRefused
from common.flags import Flag
from common.git_client import Change
from common.git_command import without_user
from common.git_objects import trailer
from common.logger import get_logger
from common.serving_manifests import Deployment
from common.step import step
from common.tools import Tools
from uc6_gitops_deployment import overlay
from uc6_gitops_deployment.promotion import (
    approved,
    chosen,
    deployment,
    how_to_approve,
    message,
    refuse_ungated,
    why_held,
)
from uc6_gitops_deployment.results import PromotedModel

if TYPE_CHECKING:
    from common.registry import Version

log = get_logger(__name__)
FLAGS = (
    Flag("--version", "uc6.version", "N", "promote this version, also one that was rolled back before"),
    Flag("--to", "uc6.to", "ENVIRONMENT", "the overlay to write: production, staging"),
    Flag("--approve", "uc6.approve", "NAME", "say that you approve it, by your name"),
)


@step(
    needs=("mlflow", "git"),
    settings=(
        "uc1.model_name", "uc6.to", "uc6.namespaces", "uc6.version", "uc6.allowed_schemes", "uc6.allowed_buckets",
        "uc6.rollback", "kserve.runtime", "kserve.image", "kserve.service_account", "kserve.deployment_mode",
        "kserve.prediction_log_prefix", "minio.bucket",
    ),
    deadline_seconds=300,
)  # fmt: skip
def run(tools: Tools) -> PromotedModel:
    """Choose, hold against the gates, look whether it is there, get it approved, commit."""
    if tools.settings.uc6.rollback:
        return nothing(tools, "nothing is promoted in a run that takes back")
    version = chosen(tools)
    if held := why_held(tools, version):
        return nothing(tools, held)
    refuse_ungated(version)
    wanted, head = deployment(tools, version), tools.git.fetch()
    if is_there(tools, wanted, head) or is_kept(tools, wanted, head):
        return promoted(tools, wanted, head)
    approval = approved(tools, version)
    if approval is None:
        raise GateRefused(
            f"Version {version.version} of {version.name} waits for an approval for {tools.settings.uc6.to}.",
            how_to_approve(tools, version),
        )
    return committed(tools, wanted, approval)


def observe(tools: Tools) -> dict[str, Any]:
    """Who should be there, and what the remote's head has."""
    if tools.settings.uc6.rollback:
        return {}
    version, head = chosen(tools), tools.git.fetch()
    trees = [tools.git.tree(head, each) for each in (overlay.folder(tools.settings.uc6.to), overlay.BASE)]
    gates = [version.gate, version.fairness_gate]
    return {"digest": version.digest, "gates": gates, "held": why_held(tools, version), "trees": trees}


def written(tools: Tools, wanted: Deployment, head: str) -> dict[str, str]:
    """The files that the repository should have."""
    kserve, minio = tools.settings.kserve, tools.settings.minio
    base = overlay.base_files(wanted, kserve, minio, tools.git.files(head, overlay.BASE))
    return {**base, **overlay.files(wanted, tools.settings.uc6.to, kserve, minio)}


def is_there(tools: Tools, wanted: Deployment, head: str) -> bool:
    """Does the head have all of it, and nothing else in the overlay?"""
    there = tools.git.files(head, overlay.folder(tools.settings.uc6.to))
    files = written(tools, wanted, head)
    return all(tools.git.read(head, path) == text for path, text in files.items()) and there.keys() <= files.keys()


def is_kept(tools: Tools, wanted: Deployment, head: str) -> bool:
    """Does it deploy this version, changed by a person since? An incident's fix is not undone at night."""
    folder = overlay.folder(tools.settings.uc6.to)
    found = overlay.declared(tools.git.files(head, folder), tools.settings.uc6.to)
    same = found == overlay.Declared(wanted.version, wanted.digest, wanted.uri)
    if not same or tools.settings.uc6.version is not None:
        return False
    newest = tools.git.history(head, folder)[0]
    if trailer(tools.git.message(newest), "Model-Digest"):
        return False
    log.warning(
        "the overlay is left as somebody has changed it; --version writes it anew", commit=newest[:12],
        subject=tools.git.message(newest).splitlines()[0], version=wanted.version,
    )  # fmt: skip
    return True


def committed(tools: Tools, wanted: Deployment, version: "Version") -> PromotedModel:
    """Make the commit and push it; whatever else lay in the overlay is taken out."""
    environment, before = tools.settings.uc6.to, ""

    def change(head: str) -> Change:
        nonlocal before
        there = tools.git.files(head, overlay.folder(environment))
        known = overlay.declared(there, environment)
        before = known.version if known else ""
        files: dict[str, str | None] = {**dict.fromkeys(there), **written(tools, wanted, head)}
        approved_at = datetime.fromisoformat(version.tags["approved_at"])
        # An old approval may be good again after other commits; a commit is not older than the one before it.
        at = max(approved_at, tools.git.time(head)) if head else approved_at
        return Change(files, message(version, environment, before), at)

    published = tools.git.publish(change)
    tools.context.effect("commit", published.commit, environment=environment, version=wanted.version)
    return promoted(tools, wanted, published.commit, created=published.created, before=before)


def promoted(tools: Tools, wanted: Deployment, head: str, **more: Any) -> PromotedModel:
    """The result; its commit is the one that last changed the overlay, whoever has pushed since."""
    uc6 = tools.settings.uc6
    commit = next(iter(tools.git.history(head, overlay.folder(uc6.to))), head)
    return PromotedModel(
        model_name=wanted.model_name, environment=uc6.to, namespace=wanted.namespace, version=wanted.version,
        digest=wanted.digest, uri=wanted.uri, commit=commit, message=tools.git.message(commit).strip(),
        repository=without_user(tools.git.url), **more,
    )  # fmt: skip


def nothing(tools: Tools, why: str) -> PromotedModel:
    """Say why nothing is promoted."""
    uc6 = tools.settings.uc6
    return PromotedModel(
        model_name=tools.settings.uc1.model_name, environment=uc6.to, namespace=uc6.namespace, why_none=why
    )


if __name__ == "__main__":
    main(__file__)
