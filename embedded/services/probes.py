"""Questions to a service on loopback, straight over HTTP: no proxy, no retry, no settings of the user.

The S3 write is signed by hand (AWS Signature Version 4) because importing a client library takes longer than `up`.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
from datetime import UTC, datetime

from embedded.services.service import NotReadyError


def get(port: int, path: str, headers: dict[str, str] | None = None, seconds: float = 5) -> bytes:
    """The body of a 200 answer. Raises NotReadyError for anything else."""
    return _request("GET", port, path, b"", headers or {}, seconds, {200})


def s3_put(port: int, path: str, body: bytes, keys: tuple[str, str], region: str = "us-east-1") -> None:
    """PUT an object (or, without a second path segment, create a bucket). Raises NotReadyError."""
    headers = _signed("PUT", f"127.0.0.1:{port}", path, body, keys, region)
    _request("PUT", port, path, body, headers, 10, {200, 409})  # 409: the bucket is there and ours


def _request(
    verb: str, port: int, path: str, body: bytes, headers: dict[str, str], seconds: float, good: set[int]
) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request(verb, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise NotReadyError(f"{verb} {path} on port {port}: {type(error).__name__} {error}") from None
    finally:
        connection.close()
    if answer.status not in good:
        raise NotReadyError(f"{verb} {path} on port {port} answered {answer.status}: {content[:300]!r}")
    return content


def _signed(verb: str, host: str, path: str, body: bytes, keys: tuple[str, str], region: str) -> dict[str, str]:
    """The headers of a signed request, after the SigV4 reference; path needs no escaping here."""
    access, secret_key = keys
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    digest = hashlib.sha256(body).hexdigest()
    names = "host;x-amz-content-sha256;x-amz-date"
    canonical = f"{verb}\n{path}\n\nhost:{host}\nx-amz-content-sha256:{digest}\nx-amz-date:{now}\n\n{names}\n{digest}"
    to_sign = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret_key}".encode()
    for part in (now[:8], region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    credential = f"AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {"Host": host, "x-amz-date": now, "x-amz-content-sha256": digest, "Authorization": credential}
