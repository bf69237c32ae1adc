"""What a Kubernetes API answers, in our words: the server and the object are named, and what to do."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from common.errors import AccessRefused, ConfigError, MlopsError, StepFailed, Unavailable
from common.transient import UNKNOWN_FIELD, chain, kinds

ACCESS_HINT = "Check kubernetes.token or the kubeconfig, and the Role of its ServiceAccount (deploy/)."


class FieldConflict(StepFailed):
    """Another manager owns a field that we would change."""


class Changed(StepFailed):
    """Somebody changed the object since we read it, or created it first."""


class Refused(StepFailed):
    """The API server refused the object: its schema or an admission webhook said no."""


class NoSuchKind(Unavailable):
    """The API server does not serve this kind: its CRD is not installed."""


class NoSuchNamespace(StepFailed):
    """The object's namespace does not exist."""


class HistoryGone(Unavailable):
    """The history that a watch would go on from is gone; it starts anew from the present state."""


@contextmanager
def in_our_words(server: str, what: str) -> Iterator[None]:
    """Turn the client's errors about `what` ("InferenceService models/churn") into ours."""
    try:
        yield
    except MlopsError:
        raise
    except Exception as error:
        translated = translate(error, server, what)
        if translated is None:
            raise
        raise translated from error


def translate(error: BaseException, server: str, what: str) -> MlopsError | None:
    """Our error for theirs; None for one that is not the client's."""
    for each in chain(error):
        if "kubernetes.client.exceptions.ApiException" in kinds(each) and getattr(each, "status", None):
            return _answered(each, server, what)
        if kinds(each) & {"kubernetes.config.config_exception.ConfigException"}:
            return ConfigError(
                f"There are no credentials for Kubernetes: {each}", "Set kubernetes.server or kubernetes.kubeconfig."
            )
    broken = [each for each in chain(error) if _is_broken_connection(each)]
    if broken:
        return Unavailable(
            f"Kubernetes at {server} does not answer ({_reason(broken[0])}).",
            "Start it (`python -m embedded up`), or correct kubernetes in the configuration.",
        )
    return None


def told(status: dict[str, Any], server: str, what: str) -> MlopsError:
    """Our error for a Status that came as an event of a watch."""
    code = int(status.get("code") or 500)
    if code == 410:
        return HistoryGone(f"The history of {what} is gone.")
    return _explained(code, status, status.get("message") or str(code), server, what)


def unreadable(server: str, what: str) -> MlopsError:
    """For an answer of 200 that is no JSON object: a proxy's page, for example."""
    return Unavailable(
        f"{server} answered about {what} with something that is no Kubernetes object.",
        "Is it a Kubernetes API? Check kubernetes in the configuration, and proxies in between.",
    )


def _answered(error: Any, server: str, what: str) -> MlopsError:
    code, status = int(error.status), status_of(error)
    return _explained(code, status, status.get("message") or f"{code} {error.reason}", server, what)


def _explained(code: int, status: dict[str, Any], message: str, server: str, what: str) -> MlopsError:
    if code == 401:
        return AccessRefused(f"Kubernetes at {server} does not accept our token.", ACCESS_HINT)
    if code == 403 and "admission webhook" in message:
        return Refused(f"{what} was refused: {message}.")
    if code == 403:
        return AccessRefused(f"Kubernetes at {server} forbids us {what}: {message}.", ACCESS_HINT)
    if code == 404 and status.get("details", {}).get("kind") == "namespaces":
        return NoSuchNamespace(f"{what}: {message}.", "Create the namespace.")
    if code == 404 and not status:
        return NoSuchKind(
            f"Kubernetes at {server} does not know the kind of {what}.", "Install its CRD (KServe, Iter8, Argo CD)."
        )
    if code == 409:
        return _conflict(status, what, message)
    if code in (400, 413, 415, 422):
        return Refused(f"{what} is not valid: {_causes(status) or message}.")
    if code == 500 and UNKNOWN_FIELD in message:
        return Refused(
            f"{what} has a field that Kubernetes at {server} does not know: {message}.",
            "Its CRD is older than what we were written against: docs/how-to/cluster.md names the versions.",
        )
    if code in (408, 410, 429) or code >= 500:
        return Unavailable(f"Kubernetes at {server} cannot answer about {what} now ({code}): {message}.")
    return StepFailed(f"{what}: Kubernetes at {server} answered {code}: {message}.")


def _conflict(status: dict[str, Any], what: str, message: str) -> MlopsError:
    causes = [c for c in status.get("details", {}).get("causes", []) if c.get("reason") == "FieldManagerConflict"]
    if not causes:
        return Changed(f"{what} was changed meanwhile: {message}.", "Run it again.")
    said = "; ".join(f"{cause['field']} ({cause['message']})" for cause in causes)
    return FieldConflict(
        f"{what}: another manager owns fields that we would change: {said}.",
        "Let it give them up, or remove them from the other manager's manifest.",
    )


def is_field_conflict(error: BaseException) -> bool:
    """True for a 409 of server-side apply: repeating it cannot help."""
    causes = status_of(error).get("details", {}).get("causes", [])
    return any(cause.get("reason") == "FieldManagerConflict" for cause in causes)


def status_of(error: Any) -> dict[str, Any]:
    """The Status object in an ApiException; {} where the answer has none."""
    try:
        status = json.loads(getattr(error, "body", None) or "")
    except (ValueError, TypeError):
        return {}
    return status if isinstance(status, dict) and status.get("kind") == "Status" else {}


def _causes(status: dict[str, Any]) -> str:
    causes = status.get("details", {}).get("causes", [])
    return "; ".join(f"{cause.get('field', '?')}: {cause.get('message', '')}" for cause in causes)


def _is_broken_connection(error: BaseException) -> bool:
    urllib3 = any(name.startswith("urllib3.") for name in kinds(error))
    return urllib3 or isinstance(error, ConnectionError | TimeoutError)


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError) or "timed out" in str(error).lower():
        return "timed out"
    return "connection refused" if "refused" in str(error).lower() else type(error).__name__
