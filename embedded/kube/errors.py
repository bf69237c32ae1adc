"""Answers that say no, in the words and shapes of a real API server: the `Status` object."""

from typing import Any

from embedded.kube.kinds import Kind

Document = dict[str, Any]


class ApiError(Exception):
    """A refused request. `document()` is the body of the answer."""

    def __init__(self, code: int, reason: str, message: str, details: Document | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details or {}

    def document(self) -> Document:
        """The Status object, as `kubectl` and the client libraries read it."""
        status: Document = {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        }  # fmt: skip
        return {**status, "details": self.details} if self.details else status


def bad_request(message: str) -> ApiError:
    """400: the request cannot be read."""
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    """401: no token, or not ours."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def denied(kind: Kind, message: str) -> ApiError:
    """403 as an admission webhook answers it."""
    webhook = f"{kind.singular}.admission.{kind.group or 'core'}"
    return ApiError(403, "Forbidden", f'admission webhook "{webhook}" denied the request: {message}')


def not_found(kind: Kind, name: str) -> ApiError:
    """404: no object of that name."""
    return ApiError(404, "NotFound", f'{kind.resource} "{name}" not found', _details(kind, name))


def method_not_allowed() -> ApiError:
    """405: the path exists, the verb does not."""
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def already_exists(kind: Kind, name: str) -> ApiError:
    """409 for a create."""
    return ApiError(409, "AlreadyExists", f'{kind.resource} "{name}" already exists', _details(kind, name))


def modified(kind: Kind, name: str) -> ApiError:
    """409 for an update that was based on an older resourceVersion."""
    cause = "the object has been modified; please apply your changes to the latest version and try again"
    return ApiError(409, "Conflict", f'Operation cannot be fulfilled on {kind.resource} "{name}": {cause}',
                    _details(kind, name))  # fmt: skip


def expired(oldest: int, asked: int) -> ApiError:
    """410: the history that a watch asked for is gone; list again."""
    return ApiError(410, "Expired", f"too old resource version: {asked} ({oldest})")


def unsupported_media_type(content_type: str, supported: tuple[str, ...]) -> ApiError:
    """415: a body in a format that this verb does not take."""
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(supported)}"
    return ApiError(415, "UnsupportedMediaType", f"{message} (got {content_type or 'none'})")


def invalid(kind: Kind, name: str, causes: list[Document]) -> ApiError:
    """422: the object breaks its schema. Each cause has `field`, `message` and `reason`."""
    said = [f"{cause['field']}: {cause['message']}" for cause in causes]
    text = said[0] if len(said) == 1 else f"[{', '.join(said)}]"
    title = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    return ApiError(422, "Invalid", f'{title} "{name}" is invalid: {text}',
                    {"name": name, "group": kind.group, "kind": kind.kind, "causes": causes})  # fmt: skip


def _details(kind: Kind, name: str) -> Document:
    return (
        {"name": name, "group": kind.group, "kind": kind.plural} if kind.group else {"name": name, "kind": kind.plural}
    )
