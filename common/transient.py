"""Which errors may pass by themselves, library by library: nothing here imports the library it judges.

Each rule looks at one error and answers RETRY, ONCE (worth a single repeat), FINAL, or None for "not mine, or
no telling: look at its cause". Types are recognised by their qualified names, so that a policy costs nothing
until something fails, and an error of a library that is not installed can still be named here.
"""

import errno
import re
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any


class Verdict(Enum):
    """What repeating the call is worth."""

    RETRY = "retry"
    ONCE = "once"
    FINAL = "final"


RETRY, ONCE, FINAL = Verdict.RETRY, Verdict.ONCE, Verdict.FINAL
Rule = Callable[[BaseException], Verdict | None]

# 08 connection exceptions; 57P01-03 shutting down or starting; 53300 too many connections; then the
# serialization failure, the deadlock and the lock that was not available.
SQLSTATES = {"57P01", "57P02", "57P03", "53300", "40001", "40P01", "55P03"}
# A refused connection has no SQLSTATE in psycopg2 and ADBC: only its text tells "wrong" from "not there".
REFUSED_LOGIN = re.compile(
    r"authentication failed|no password supplied|pg_hba\.conf|(database|role) \".*\" does not exist"
    r"|permission denied|is not permitted|certificate|SSL was required|invalid connection option"
    r"|invalid value for parameter|unrecognized configuration parameter",
    re.IGNORECASE,
)
S3_CODES = {
    "409", "Conflict", "OperationAborted",  # somebody else is writing there: the repeated call sees what came of it
    "SlowDown", "RequestTimeout", "RequestTimeoutException", "InternalError", "ServiceUnavailable",
    "ConditionalRequestConflict",
}  # fmt: skip
MLFLOW_CODES = {
    "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED",
}  # fmt: skip
NEVER_ARRIVED = {
    "requests.exceptions.ConnectTimeout", "httpx.ConnectError", "httpx.ConnectTimeout",
    "urllib3.exceptions.NewConnectionError", "urllib3.exceptions.ConnectTimeoutError",
}  # fmt: skip
BROKEN_TRANSPORT = {
    "requests.exceptions.ConnectionError", "requests.exceptions.Timeout", "httpx.TransportError",
    "requests.exceptions.ChunkedEncodingError", "urllib3.exceptions.MaxRetryError",
    "urllib3.exceptions.ProtocolError", "urllib3.exceptions.TimeoutError",
}  # fmt: skip
GIT_FINAL = re.compile(
    r"Authentication failed|Permission denied|could not read (Username|Password)|protected branch"
    r"|(pre-receive|update) hook declined|GH013|rule violations|push declined|SSL certificate"
    r"|certificate verification|fsck|returned error: 40[134]|not found",
    re.IGNORECASE,
)
GIT_TRANSIENT = re.compile(
    r"Could not resolve host|Connection (reset|refused|timed out)|hung up unexpectedly|early EOF|RPC failed"
    r"|returned error: (409|429|50[0234])|\(fetch first\)|\(non-fast-forward\)|\(stale info\)|cannot lock ref"
    r"|Operation timed out|unable to access",
    re.IGNORECASE,
)
STORE_TRANSIENT = re.compile(
    r"Could not connect to the endpoint|Connect timeout|Read timeout|Connection (was closed|reset|refused)"
    r"|SlowDown|reduce your request rate|InternalError|Cannot connect to host|ServerDisconnected",
    re.IGNORECASE,
)
ARROW_TRANSIENT = re.compile(
    r"AWS Error (NETWORK_CONNECTION|REQUEST_TIMEOUT|SLOW_DOWN|THROTTLING|SERVICE_UNAVAILABLE|INTERNAL_FAILURE)"
    r"|HTTP status (429|50[0234])|curlCode"
)
# Server-side apply answers 500 where an object has a field that the server's schema lacks.
UNKNOWN_FIELD = "failed to create typed patch object"
IDEMPOTENT = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"}


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, then what caused it, then what that was raised from: pandas and MLflow hide the real one."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        hidden = None if error.__suppress_context__ else error.__context__
        error = error.__cause__ or _wrapped(error) or hidden


def _wrapped(error: BaseException) -> BaseException | None:
    """What urllib3 (`reason`), s3transfer (`last_exception`) and requests (first argument) carry inside."""
    inside = (getattr(error, "reason", None), getattr(error, "last_exception", None), *error.args[:1])
    return next((each for each in inside if isinstance(each, BaseException)), None)


def kinds(error: BaseException) -> set[str]:
    """Qualified names of the error's class and of all its bases."""
    return {f"{each.__module__}.{each.__qualname__}" for each in type(error).__mro__}


def postgres(error: BaseException) -> Verdict | None:
    """SQLAlchemy, psycopg2, psycopg 3 and ADBC, also where pandas wrapped them."""
    names = kinds(error)
    if "sqlalchemy.exc.DBAPIError" in names:
        return RETRY if getattr(error, "connection_invalidated", False) else None
    if not names & {"psycopg2.Error", "psycopg.Error", "adbc_driver_manager.Error"}:
        return None
    state = getattr(error, "pgcode", None) or getattr(error, "sqlstate", None)
    if state:
        return RETRY if state.startswith("08") or state in SQLSTATES else FINAL
    broken = type(error).__name__ in {"OperationalError", "InterfaceError", "DatabaseError"}
    return RETRY if broken and not REFUSED_LOGIN.search(str(error)) else FINAL


def botocore(error: BaseException) -> Verdict | None:
    """boto3's answers by S3 code and status, its broken connections, and bodies that arrived damaged."""
    names = kinds(error)
    if names & {"botocore.exceptions.FlexibleChecksumError", "common.minio_errors.CorruptedBody"}:
        return ONCE
    if "botocore.exceptions.ClientError" in names:
        answer: dict[str, Any] = getattr(error, "response", {})
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = answer.get("Error", {}).get("Code", "")
        return RETRY if code in S3_CODES or status in {429, 500, 502, 503, 504} else FINAL
    if names & {"botocore.exceptions.SSLError", "botocore.exceptions.ProxyConnectionError"}:
        return FINAL
    broken = {"HTTPClientError", "ConnectionError", "IncompleteReadError", "ResponseStreamingError"}
    return RETRY if names & {f"botocore.exceptions.{each}" for each in broken} else None


def store_command(error: BaseException) -> Verdict | None:
    """`dvc push` and `dvc pull`, which only say in words what the object store answered."""
    if "common.process.CommandFailed" not in kinds(error):
        return None
    return RETRY if STORE_TRANSIENT.search(getattr(error, "stderr", "")) else FINAL


def http(error: BaseException) -> Verdict | None:
    """requests, httpx and urllib3. A POST without an Idempotency-Key is repeated only if it never arrived."""
    names = kinds(error)
    if names & {"requests.exceptions.HTTPError", "httpx.HTTPStatusError"}:
        status = getattr(getattr(error, "response", None), "status_code", None)
        return RETRY if status in {429, 502, 503, 504} and _repeatable(error) else FINAL
    verdict = broken_transport(error)
    if verdict is RETRY and not _repeatable(error) and not _is_any(error, NEVER_ARRIVED):
        return FINAL
    return verdict


def broken_transport(error: BaseException) -> Verdict | None:
    """A connection that broke or stalled, whatever was on its way."""
    if _is_any(error, {"urllib3.exceptions.SSLError", "requests.exceptions.SSLError", "ssl.SSLError"}):
        return FINAL
    return RETRY if kinds(error) & BROKEN_TRANSPORT else None


def _is_any(error: BaseException, names: set[str]) -> bool:
    return any(kinds(each) & names for each in chain(error))


def _repeatable(error: BaseException) -> bool:
    # httpx raises from its `request` property when none was set, so look at what is stored instead.
    request = vars(error).get("request") or vars(error).get("_request")
    if request is None:
        return True
    return request.method in IDEMPOTENT or "Idempotency-Key" in request.headers


def kubernetes(error: BaseException) -> Verdict | None:
    """ApiException by status. The repeated call reads the object anew: a lost race (Conflict) is repeated."""
    if "kubernetes.client.exceptions.ApiException" not in kinds(error):
        return None
    status, body = getattr(error, "status", None), str(getattr(error, "body", ""))
    if status == 409:
        return FINAL if "AlreadyExists" in body else RETRY
    if status == 500 and UNKNOWN_FIELD in body:
        return FINAL
    return RETRY if status in {410, 429, 500, 502, 503, 504} else (FINAL if status else None)


def mlflow(error: BaseException) -> Verdict | None:
    """MlflowException. Every error of the client itself is INTERNAL_ERROR too: there only its cause tells."""
    names = kinds(error)
    if "mlflow.exceptions.MlflowException" not in names:
        return None
    code = getattr(error, "error_code", "")
    if code in MLFLOW_CODES:
        return RETRY
    if code != "INTERNAL_ERROR":
        return FINAL
    said = re.search(r"failed with error code (\d{3})", str(error))
    if said:
        return RETRY if said[1] in {"429", "500", "502", "503", "504"} else FINAL
    return RETRY if "mlflow.exceptions.RestException" in names else None


def git(error: BaseException) -> Verdict | None:
    """The git command, by what it printed. A rejected push is repeated: the repeated call fetches first."""
    if "common.process.CommandFailed" not in kinds(error):
        return None
    printed = getattr(error, "stderr", "")
    return RETRY if GIT_TRANSIENT.search(printed) and not GIT_FINAL.search(printed) else FINAL


def arrow(error: BaseException) -> Verdict | None:
    """Arrow's S3 client, whose errors are plain OSErrors that only words tell apart."""
    if not isinstance(error, OSError) or "AWS Error" not in str(error):
        return None
    return RETRY if ARROW_TRANSIENT.search(str(error)) else FINAL


def ours(error: BaseException) -> Verdict | None:
    """An error of common.errors was judged, and repeated, where it was made: never two layers of retries."""
    return FINAL if "common.errors.MlopsError" in kinds(error) else None


def operating_system(error: BaseException) -> Verdict | None:
    """Interrupted, busy, or a connection that broke. A full or failing disk is final."""
    # pandas.errors.DatabaseError is an OSError without an errno: its cause tells.
    if isinstance(error, ConnectionError | TimeoutError):
        return RETRY
    if not isinstance(error, OSError) or error.errno is None:
        return None
    return RETRY if error.errno in {errno.EINTR, errno.EAGAIN, errno.EBUSY} else FINAL
