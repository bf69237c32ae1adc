"""Health as Argo CD judges it: of an InferenceService by its status, of an Application by its worst part.

Kinds that Argo CD has no rule for, ServingRuntime among them, have no health: they are there, and that is all.
"""

from collections.abc import Iterable
from typing import Any

Document = dict[str, Any]
# From best to worst, as Argo CD ranks them.
ORDER = ("Healthy", "Suspended", "Progressing", "Missing", "Degraded", "Unknown")


def health(live: Document | None, kind: str) -> Document | None:
    """{status, message} of a resource; None where its kind has no rule."""
    if live is None:
        return {"status": "Missing"}
    return inference_service(live) if kind == "InferenceService" else None


def inference_service(live: Document) -> Document:
    """The rule of Argo CD's own check for serving.kserve.io/InferenceService."""
    status = live.get("status") or {}
    if not status.get("conditions"):
        return {"status": "Progressing", "message": "Waiting for InferenceService to report status..."}
    conditions = status["conditions"]
    if any(each["type"] == "Stopped" and each["status"] == "True" for each in conditions):
        return {"status": "Suspended", "message": "InferenceService is Stopped"}
    transition = status.get("modelStatus", {}).get("transitionStatus", "UpToDate")
    bad = [each for each in conditions if each["type"] != "Stopped" and each["status"] != "True"]
    said = "".join(_sentence(each) for each in bad if each["status"] == "False")
    if transition not in ("UpToDate", "InProgress", ""):
        return {"status": "Degraded", "message": f"{transition}: {_failure(status)}{said}".strip()}
    if bad or transition == "InProgress":
        return {"status": "Progressing", "message": (f"{transition}. {said}" if said else f"{transition}.").strip()}
    return {"status": "Healthy", "message": "InferenceService is healthy."}


def worst(parts: Iterable[Document | None]) -> str:
    """The health of the whole."""
    return max((each["status"] for each in parts if each), key=ORDER.index, default="Healthy")


def _failure(status: Document) -> str:
    info = status.get("modelStatus", {}).get("lastFailureInfo", {})
    said = info.get("message") or info.get("reason") or ""
    return f"{said}. " if said else ""


def _sentence(condition: Document) -> str:
    since = f", since {condition['reason']}" if condition.get("reason") else ""
    return f"{condition['type']} is {condition['status']}{since}. {condition.get('message', '')}".strip() + "\n"
