"""What a server in trouble says: whole HTTP answers, and PostgreSQL's own refusals of a connection."""

import json
import struct

RETRY_AFTER_SECONDS = 1
PAGE = b"<html><head><title>Welcome</title></head><body>Please log in.</body></html>"
NO_SUCH_KIND = b"404 page not found\n"  # what an API server says of a path that it does not serve
REASONS = {
    401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict", 429: "Too Many Requests",
    500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip
S3_CODES = {
    401: "InvalidAccessKeyId", 403: "AccessDenied", 404: "NoSuchBucket", 409: "OperationAborted", 429: "SlowDown",
    500: "InternalError", 503: "SlowDown",
}  # fmt: skip
MLFLOW_CODES = {
    401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "RESOURCE_DOES_NOT_EXIST", 409: "RESOURCE_CONFLICT",
    429: "REQUEST_LIMIT_EXCEEDED", 500: "INTERNAL_ERROR", 503: "TEMPORARILY_UNAVAILABLE",
}  # fmt: skip
# SQLSTATE and message of a FATAL that ends a connection before it has begun.
SQL = {
    "login": ("28P01", 'password authentication failed for user "mlops"'),
    "missing": ("3D000", 'database "mlops" does not exist'),
    "full": ("53300", "sorry, too many clients already"),
    "starting": ("57P03", "the database system is starting up"),
}


def http(service: str, status: int) -> bytes:
    """An answer of this status in the words of S3, MLflow or Kubernetes; 200 is a page of somebody else's."""
    headers = {"Connection": "close"}
    body = PAGE if status == 200 else _said(service, status)
    headers["Content-Type"] = _type(service, status)
    if status == 429:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if status == 401:
        headers["WWW-Authenticate"] = "Basic"
    headers["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {REASONS.get(status, 'OK')}\r\n{head}\r\n".encode() + body


def _type(service: str, status: int) -> str:
    if status == 200:
        return "text/html"
    return {"s3": "application/xml", "git": "text/plain"}.get(service, "application/json")


def _said(service: str, status: int) -> bytes:
    reason = REASONS[status]
    if service == "s3":
        said = f"<Error><Code>{S3_CODES[status]}</Code><Message>{reason}</Message></Error>"
        return f'<?xml version="1.0" encoding="UTF-8"?>{said}'.encode()
    if service == "git":
        return reason.encode()
    if service == "kubernetes" and status == 404:
        return NO_SUCH_KIND
    if service == "kubernetes":
        body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": reason, "code": status,
                "reason": reason.replace(" ", ""), "details": {}}  # fmt: skip
        return json.dumps(body).encode()
    return json.dumps({"error_code": MLFLOW_CODES[status], "message": reason}).encode()


def postgres(fault: str) -> bytes:
    """An ErrorResponse of severity FATAL, as the protocol's message 'E' has it."""
    state, message = SQL[fault]
    fields = b"".join(kind + text.encode() + b"\0" for kind, text in
                      ((b"S", "FATAL"), (b"V", "FATAL"), (b"C", state), (b"M", message)))  # fmt: skip
    return b"E" + struct.pack("!i", len(fields) + 5) + fields + b"\0"
