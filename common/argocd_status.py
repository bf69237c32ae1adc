"""What an Application's status says: pure functions. The rule is that of `argocd app wait`."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

Document = dict[str, Any]
IsOurs = Callable[[str], bool]
BROKEN = ("ComparisonError", "InvalidSpecError", "SyncError")
ENDED_BADLY = ("Failed", "Error")


def revision(application: Document) -> str:
    """The commit that the live objects were compared with."""
    return str(application.get("status", {}).get("sync", {}).get("revision", ""))


def words(application: Document) -> tuple[str, str]:
    """Sync and health in Argo CD's words, "Unknown" before it has looked."""
    status = application.get("status", {})
    found = (status.get(part, {}).get("status", "Unknown") for part in ("sync", "health"))
    return next(found), next(found)


def is_busy(application: Document) -> bool:
    """True while an operation is asked for or running, or its outcome has not been looked at."""
    status = application.get("status", {})
    state = status.get("operationState")
    if application.get("operation"):
        return True
    if not state or state.get("operation", {}).get("sync", {}).get("dryRun"):
        return False
    finished, seen = _time(state.get("finishedAt")), _time(status.get("reconciledAt"))
    return finished is None or seen is None or seen < finished


def is_refreshing(application: Document) -> bool:
    """True until Argo CD has taken notice of a request to look again."""
    return "argocd.argoproj.io/refresh" in (application["metadata"].get("annotations") or {})


def is_delivered(application: Document, is_ours: IsOurs) -> bool:
    """Synced and Healthy at a commit of ours, with nothing going on."""
    settled = not is_busy(application) and not is_refreshing(application)
    return settled and words(application) == ("Synced", "Healthy") and is_ours(revision(application))


def trouble(application: Document, is_ours: IsOurs) -> str:
    """Why waiting is of no use, as far as the status tells; "" while it is.

    What it says of another commit than ours is an old story.
    """
    status = application.get("status", {})
    if is_refreshing(application):
        return ""
    broken = [each for each in status.get("conditions", []) if each["type"] in BROKEN]
    if broken:
        return "; ".join(f"{each['type']}: {each['message']}" for each in broken)
    if is_busy(application):
        return ""
    state = status.get("operationState", {})
    if state.get("phase") in ENDED_BADLY and is_ours(state.get("syncResult", {}).get("revision", "")):
        return f"the sync {state['phase'].lower()}: {state.get('message', '')}"
    if words(application)[1] == "Degraded" and is_ours(revision(application)):
        return f"Degraded: {_degraded(status)}"
    return ""


def _degraded(status: Document) -> str:
    """What the resources that are not well say of themselves."""
    found = [
        f"{each['kind']} {each['name']}: {each['health'].get('message', '').strip() or 'no reason given'}"
        for each in status.get("resources", []) if each.get("health", {}).get("status") == "Degraded"
    ]  # fmt: skip
    return "; ".join(found) or str(status.get("health", {}).get("message", "no reason given"))


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
