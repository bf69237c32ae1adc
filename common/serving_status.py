"""What the status of an InferenceService says: pure functions."""

from typing import Any

Document = dict[str, Any]


def is_ready(live: Document) -> bool:
    """True when the service answers with the model of its present spec."""
    status = live.get("status", {})
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", []))
    transition = status.get("modelStatus", {}).get("transitionStatus", "")
    return ready and "url" in status and transition in ("UpToDate", "")


def is_current(live: Document) -> bool:
    """True when the status speaks of the present spec. In Standard mode a real controller's number may lag behind."""
    return bool(live.get("status", {}).get("observedGeneration") == live["metadata"].get("generation"))


def load_failure(model_status: Document) -> str:
    """Why KServe cannot load a model, by its modelStatus; "" while it can."""
    failed = model_status.get("transitionStatus") in ("BlockedByFailedLoad", "InvalidSpec")
    info = model_status.get("lastFailureInfo", {})
    said = info.get("message") or info.get("reason") or model_status.get("transitionStatus", "")
    return str(said) if failed else ""
