"""Which version goes to an environment, and whether it may: gates, names, approval."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from common.errors import GateRefused, StepFailed, UsageError
from common.model_versions import HELD, PASSED
from common.names import line
from common.serving_manifests import Deployment, checked

if TYPE_CHECKING:
    from common.registry import Version
    from common.tools import Tools

POLICY = "development-policy"
SCRIPT = "python uc6_gitops_deployment/uc6_01_promote_model_git.py"


def chosen(tools: "Tools") -> "Version":
    """The version that was asked for, else the champion. Raises UsageError, StepFailed."""
    name, wanted = tools.settings.uc1.model_name, tools.settings.uc6.version
    if wanted is not None:
        version = tools.mlflow.version(name, wanted)
        if version is None:
            known = ", ".join(each.version for each in tools.mlflow.versions(name)) or "none"
            raise UsageError(f"{name} has no version {wanted}.", f"It has {known}.")
        return version
    champion = tools.mlflow.champion(name)
    if champion is None:
        raise StepFailed(f"No version of {name} is champion: there is nothing to promote.", "Run UC1 first.")
    return champion


def why_held(tools: "Tools", version: "Version") -> str:
    """Why nobody but a person brings these bytes back to production; "" where nothing is against them."""
    if tools.settings.uc6.version is not None:
        return ""
    held = [each for each in tools.mlflow.versions(version.name) if each.state == HELD]
    same = next((each for each in held if each.digest == version.digest), None)
    if same is None:
        return ""
    return (
        f"v{version.version} is the model that was rolled back as v{same.version}; --version {version.version} tries it"
    )


def refuse_ungated(version: "Version") -> None:
    """Raise GateRefused unless quality and fairness were judged on this very file, and both passed."""
    verdicts = {"quality": version.gate, "fairness": version.fairness_gate}
    missing = [f"{gate}: {said or 'nobody judged this file'}" for gate, said in verdicts.items() if said != PASSED]
    if missing:
        raise GateRefused(
            f"Version {version.version} of {version.name} is not promoted. {'; '.join(missing)}.",
            "UC1 judges quality, UC5 fairness: python uc5_fairness_docs/run_pipeline.py",
        )


def deployment(tools: "Tools", version: "Version") -> Deployment:
    """The version as it would be deployed, every name and address of it checked. Raises BadName (exit 65)."""
    uc6 = tools.settings.uc6
    wanted = Deployment(version.name, uc6.namespace, version.version, version.digest, version.uri)
    return checked(wanted, uc6.allowed_schemes, uc6.allowed_buckets or (tools.settings.minio.bucket,))


def approved(tools: "Tools", version: "Version") -> "Version | None":
    """The version with an approval of this file for this environment: an earlier one, or one given now; or None.

    Its time is noted with it once: it is the commit's time too, so that a repeated run makes the same commit.
    """
    uc6 = tools.settings.uc6
    if not uc6.approve and is_approved(tools, version):
        return version
    by = uc6.approve or (POLICY if uc6.auto_approve else "")
    if not by:
        return None
    if is_approved(tools, version) and version.tags["approved_by"] == by:
        return version
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    # The digest last: only with it the others mean anything.
    noted = tools.mlflow.tag(version, approved_digest="", approved_by=by, approved_for=uc6.to, approved_at=at)
    tools.context.effect("approval", f"{version.name} v{version.version}", by=by, environment=uc6.to)
    return tools.mlflow.tag(noted, approved_digest=version.digest)


def is_approved(tools: "Tools", version: "Version") -> bool:
    """Is there an approval of this very file for this environment? The laptop's policy counts on the laptop only."""
    tags, uc6 = version.tags, tools.settings.uc6
    by = tags.get("approved_by", "")
    counts = bool(by) and (by != POLICY or uc6.auto_approve)
    return counts and tags.get("approved_digest") == version.digest and tags.get("approved_for") == uc6.to


def how_to_approve(tools: "Tools", version: "Version") -> str:
    """The command."""
    return f"Approve it: {SCRIPT} --version {version.version} --to {tools.settings.uc6.to} --approve YOUR-NAME"


def message(version: "Version", environment: str, before: str) -> str:
    """The commit's message: what moves where, and by trailers everything that leads back to how it was made."""
    tags = version.tags
    card = tags.get("model_card", "") if tags.get("model_card_digest") == version.digest else ""
    trailers = {
        "Model-Name": version.name, "Model-Version": version.version, "Model-Digest": version.digest,
        "Registry-Run": version.run_id, "Data-Digest": tags.get("data_digest", ""), "Model-Card": card,
        "Approved-by": tags["approved_by"],
    }  # fmt: skip
    lines = [f"{name}: {line(value, name)}" for name, value in trailers.items() if value]
    from_ = "" if not before else "again " if before == version.version else f"v{before} -> "
    subject = f"promote({version.name}): {from_}v{version.version} to {environment}"
    return f"{subject}\n\n" + "\n".join(lines) + "\n"
