"""Every row of the table of errors: what may pass is repeated, what cannot is raised at once, as itself."""

import email.utils
import errno
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import adbc_driver_manager
import botocore.exceptions as boto
import httpx
import kubernetes.client.exceptions as k8s
import mlflow.exceptions as mlf
import pandas.errors
import psycopg2
import pytest
import requests
import sqlalchemy.exc
import urllib3.exceptions as u3

from common import retry
from common.errors import InvalidData, Unavailable
from common.process import CommandFailed
from common.retry import Policy


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "0")


def tries(policy: Policy, error: BaseException) -> int:
    """How often a call that always fails with `error` is made."""
    calls: list[int] = []

    @policy
    def fail() -> None:
        calls.append(1)
        raise error

    with pytest.raises(type(error)) as raised:
        fail()
    assert raised.value is error, "the last error must be re-raised as itself"
    return len(calls)


def sqlstate(code: str) -> Exception:
    error = type("Coded", (psycopg2.OperationalError,), {"pgcode": code})("said the server")
    return error


def caused(outer: BaseException, inner: BaseException) -> BaseException:
    outer.__cause__ = inner
    return outer


def during(outer: BaseException, inner: BaseException) -> BaseException:
    outer.__context__ = inner
    return outer


def s3(code: str, status: int, headers: dict[str, str] | None = None) -> boto.ClientError:
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers or {}}
    return boto.ClientError({"Error": {"Code": code}, "ResponseMetadata": metadata}, "GetObject")  # type: ignore[typeddict-item]


def answered(status: int, method: str = "GET", **headers: str) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    response.headers.update(headers)
    request = requests.Request(method, "http://h/").prepare()
    return requests.HTTPError(str(status), response=response, request=request)


def posted(error: type[requests.RequestException], **headers: str) -> requests.RequestException:
    return error("broken", request=requests.Request("POST", "http://h/", headers=headers).prepare())


def api(status: int, body: str = "") -> k8s.ApiException:
    error = k8s.ApiException(status=status, reason="r")
    error.body = body
    return error


def git(printed: str) -> CommandFailed:
    return CommandFailed("git push", 1, printed)


def rest(code: str) -> mlf.RestException:
    return mlf.RestException({"error_code": code, "message": "m"})


def reached_nobody() -> requests.ConnectionError:
    pool = SimpleNamespace(host="h", port=1)
    refused = u3.NewConnectionError(pool, "refused")  # type: ignore[arg-type]
    return requests.ConnectionError(u3.MaxRetryError(pool, "/", refused))  # type: ignore[arg-type]


invalidated = sqlalchemy.exc.OperationalError("select", {}, Exception("cut"), connection_invalidated=True)
cut = psycopg2.OperationalError("server closed the connection unexpectedly")
adbc_refused = adbc_driver_manager.OperationalError(
    "IO: [libpq] Failed to connect: Connection refused", status_code=adbc_driver_manager.AdbcStatusCode.IO
)
adbc_password = adbc_driver_manager.OperationalError(
    'FATAL:  password authentication failed for user "u"', status_code=adbc_driver_manager.AdbcStatusCode.IO
)

PASSING_STATES = ("08006", "57P01", "57P02", "57P03", "53300", "40001", "40P01", "55P03")
FINAL_STATES = ("28P01", "3D000", "42703", "42P01", "22012", "57014", "53100")
S3_REFUSALS = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch")
MLFLOW_PASSING = ("TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR", "REQUEST_LIMIT_EXCEEDED")
MLFLOW_FINAL = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS")

TRANSIENT: list[tuple[Policy, BaseException]] = [
    *((retry.database, sqlstate(code)) for code in PASSING_STATES),
    (retry.database, invalidated),
    (retry.database, cut),
    (retry.database, adbc_refused),
    (retry.database, caused(sqlalchemy.exc.OperationalError("q", {}, cut), cut)),
    (retry.database, during(pandas.errors.DatabaseError("Execution failed"), cut)),
    (retry.object_store, boto.EndpointConnectionError(endpoint_url="http://h")),
    (retry.object_store, boto.ConnectTimeoutError(endpoint_url="http://h")),
    (retry.object_store, boto.ReadTimeoutError(endpoint_url="http://h")),
    (retry.object_store, boto.ConnectionClosedError(endpoint_url="http://h")),
    (retry.object_store, boto.ResponseStreamingError(error="reset")),
    (retry.object_store, boto.IncompleteReadError(actual_bytes=1, expected_bytes=2)),
    *((retry.object_store, s3(code, 503)) for code in ("SlowDown", "RequestTimeout", "InternalError")),
    *((retry.object_store, s3("Unknown", status)) for status in (429, 500, 502, 503, 504)),
    (retry.object_store, CommandFailed("dvc push", 1, "ERROR: Could not connect to the endpoint URL")),
    (retry.http, requests.ConnectTimeout()),
    (retry.http, requests.ConnectionError()),
    (retry.http, requests.ReadTimeout()),
    (retry.http, reached_nobody()),
    *((retry.http, answered(status)) for status in (429, 502, 503, 504)),
    (retry.http, posted(requests.ReadTimeout, **{"Idempotency-Key": "k"})),
    (retry.http, posted(requests.ConnectTimeout)),
    (retry.http, httpx.ConnectError("refused")),
    (retry.http, httpx.ReadTimeout("slow", request=httpx.Request("GET", "http://h"))),
    *((retry.kubernetes, api(status)) for status in (410, 429, 500, 503, 504)),
    (retry.kubernetes, api(409, '{"reason": "Conflict"}')),
    (retry.kubernetes, u3.MaxRetryError(SimpleNamespace(), "/", Exception())),  # type: ignore[arg-type]
    (retry.kubernetes, u3.ReadTimeoutError(SimpleNamespace(), "/", "slow")),  # type: ignore[arg-type]
    *((retry.mlflow, rest(code)) for code in MLFLOW_PASSING),
    (retry.mlflow, mlf.MlflowException("API request to /x failed with error code 503 != 200.")),
    (retry.mlflow, during(mlf.MlflowException("API request failed"), posted(requests.ConnectionError))),
    (retry.git, git("fatal: unable to access 'https://h/': Could not resolve host: h")),
    (retry.git, git("fatal: the remote end hung up unexpectedly")),
    (retry.git, git(" ! [rejected] main -> main (fetch first)")),
    (retry.git, git("fatal: read error: Connection reset by peer")),
    *((retry.http, OSError(number, "m")) for number in (errno.EINTR, errno.EAGAIN, errno.EBUSY)),
    (retry.object_store, ConnectionResetError()),
]

FINAL: list[tuple[Policy, BaseException]] = [
    *((retry.database, sqlstate(code)) for code in FINAL_STATES),
    (retry.database, adbc_password),
    (retry.database, psycopg2.OperationalError('FATAL:  password authentication failed for user "u"')),
    (retry.database, psycopg2.OperationalError('FATAL:  database "nope" does not exist')),
    (retry.database, during(pandas.errors.DatabaseError("Execution failed"), sqlstate("42703"))),
    *((retry.object_store, s3(code, 403)) for code in S3_REFUSALS),
    (retry.object_store, s3("NoSuchBucket", 404)),
    (retry.object_store, s3("RequestTimeTooSkewed", 403)),
    (retry.object_store, s3("PreconditionFailed", 412)),
    (retry.object_store, CommandFailed("dvc push", 1, "ERROR: failed to connect to s3 - Forbidden")),
    *((retry.http, answered(status)) for status in (400, 401, 403, 404, 409, 500)),
    (retry.http, answered(503, "POST")),
    (retry.http, posted(requests.ReadTimeout)),
    (retry.http, requests.exceptions.SSLError("certificate verify failed")),
    *((retry.kubernetes, api(status)) for status in (400, 401, 403, 404, 422)),
    (retry.kubernetes, api(409, '{"reason": "AlreadyExists"}')),
    *((retry.mlflow, rest(code)) for code in MLFLOW_FINAL),
    (retry.mlflow, mlf.MlflowException("untrusted types in the model")),
    (retry.git, git("fatal: Authentication failed for 'https://h/'")),
    (retry.git, git("remote: error: GH006: Protected branch update failed; protected branch hook declined")),
    (retry.git, git("error: object 1234: fsck error")),
    *((retry.http, OSError(number, "m")) for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)),
    (retry.database, Unavailable("already retried below")),
    (retry.http, InvalidData("no rows")),
    (retry.http, ValueError("a bug")),
    (retry.database, KeyboardInterrupt()),
]  # fmt: skip


def named(case: Any) -> str:
    return case.name if isinstance(case, Policy) else f"{type(case).__name__}-{str(case)[:30]}"


@pytest.mark.parametrize(("policy", "error"), TRANSIENT, ids=named)
def test_what_may_pass_by_itself_is_tried_four_times(policy: Policy, error: BaseException) -> None:
    assert tries(policy, error) == 4


@pytest.mark.parametrize(("policy", "error"), FINAL, ids=named)
def test_what_cannot_pass_is_raised_after_one_try(policy: Policy, error: BaseException) -> None:
    assert tries(policy, error) == 1


def test_a_body_that_arrived_damaged_is_fetched_once_more_and_not_for_ever() -> None:
    assert tries(retry.object_store, boto.FlexibleChecksumError(error_msg="crc32")) == 2


def test_a_call_that_recovers_returns_its_value() -> None:
    answers: list[Callable[[], str]] = [lambda: _raise(cut), lambda: _raise(cut), lambda: "rows"]
    assert retry.database.call(lambda: answers.pop(0)()) == "rows"
    assert answers == []


def _raise(error: Exception) -> str:
    raise error


def test_the_seconds_of_all_tries_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "0.05")

    def slow() -> None:
        time.sleep(0.06)
        raise cut

    calls: list[int] = []
    with pytest.raises(psycopg2.OperationalError):
        retry.database.call(lambda: (calls.append(1), slow()))
    assert calls == [1], "a call that used up the budget is not repeated"


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (answered(429, **{"Retry-After": "7"}), 7),
        (s3("SlowDown", 503, {"retry-after": "3"}), 3),
        (caused(RuntimeError("wrapped"), answered(503, **{"Retry-After": "5"})), 5),
        (answered(503), 0),
        (answered(503, **{"Retry-After": "soon"}), 0),
    ],
)
def test_retry_after_is_read_wherever_the_response_is_carried(error: BaseException, seconds: float) -> None:
    assert retry.retry_after_seconds(error) == seconds


def test_retry_after_may_be_a_date() -> None:
    date = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 90 < retry.retry_after_seconds(answered(503, **{"Retry-After": date})) <= 100


def test_a_server_that_asks_for_too_much_time_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "2")
    assert tries(retry.http, answered(429, **{"Retry-After": "30"})) == 1


def test_a_logged_wait_shows_no_credentials() -> None:
    from common.retry import _without_credentials

    shown = _without_credentials(RuntimeError("postgresql://u:hunter2@h/db password=hunter2 token: hunter2"))
    assert "hunter2" not in shown
    assert "h/db" in shown


def test_importing_the_policies_imports_no_client_library() -> None:
    heavy = {"tenacity", "sqlalchemy", "psycopg2", "boto3", "requests", "kubernetes", "mlflow", "pandas"}
    code = f"import sys, common.retry; print({heavy} & set(sys.modules) or 'none')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "none\n"
