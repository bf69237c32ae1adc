"""Tells a watchdog that a scheduled run succeeded; who hears nothing for too long raises the alarm."""

from urllib.parse import urlsplit

from common import retry
from common.errors import Unavailable

CONNECT_SECONDS, READ_SECONDS = 3, 10


def ping(url: str) -> None:
    """GET the address. Raises Unavailable where nobody there says yes; only the host is named: the path is a secret."""
    import requests

    @retry.http
    def once() -> None:
        try:
            answer = requests.get(url, timeout=(CONNECT_SECONDS, READ_SECONDS))
        except requests.RequestException as error:  # retries are logged: in words without the URL
            raise type(error)("no answer", request=error.request) from None
        if not answer.ok:
            raise requests.HTTPError(f"answer {answer.status_code}", request=answer.request, response=answer)

    try:
        once()
    except requests.RequestException as error:
        said = getattr(error.response, "status_code", None) or type(error).__name__
        host = urlsplit(url).hostname
        raise Unavailable(f"The heartbeat at {host} was not taken ({said}).", "Check its address.") from None
