"""Marquez: where lineage events go, and who is asked about them. Short deadlines, nothing sent twice by itself."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from common import retry
from common.errors import AccessRefused, ConfigError, MlopsError, Unavailable
from common.patience import patience
from common.settings import Marquez as Section
from common.settings import without_credentials

if TYPE_CHECKING:
    import requests

Document = dict[str, Any]
CONNECT_SECONDS = 1.0
PAGE = 200
MOMENT = timedelta(milliseconds=1)
HINT = "Look at marquez.url; `python -m common doctor` shows what answers."
# What any Marquez has, whatever it knows.
EVERYWHERE = ("/search", "/namespaces", "/events/lineage")
# Answers that are about the address, the credentials or the moment: another event would be refused as well.
NOT_ABOUT_THE_EVENT = (401, 403, 404, 405, 407, 408, 425, 429)


class EventRefused(MlopsError):
    """The server does not take this very event."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"The lineage server refused an event ({status}): {said}")
        self.status, self.said = status, said


class EventFailed(Unavailable):
    """The server failed with 500: over this very event, or over everything."""

    def __init__(self, place: str, said: str) -> None:
        super().__init__(f"The lineage server at {place} answered 500: {said}", HINT)
        self.status, self.said = 500, said


class NoSuchNode(MlopsError):
    """Lineage knows no dataset or job of this name."""


class Marquez:
    """One server. Nothing connects before it is used."""

    def __init__(self, settings: Section) -> None:
        self.settings = settings

    @property
    def place(self) -> str:
        """The URL, for messages."""
        return without_credentials(self.settings.url)

    def send(self, event: Document) -> None:
        """Send one event, once. Raises EventRefused; or Unavailable (EventFailed for 500): it may be stored, or not."""
        answer = self._request("POST", "/api/v1/lineage", json=event)
        if answer.status_code in (200, 201):
            return
        said = " ".join(answer.text.split())[:300]
        if 400 <= answer.status_code < 500 and answer.status_code not in NOT_ABOUT_THE_EVENT:
            raise EventRefused(answer.status_code, said)
        if answer.status_code == 500:
            raise EventFailed(self.place, said)
        raise self._unavailable(f"answered {answer.status_code}: {said}")

    def has(self, event: Document) -> bool:
        """Is this event stored? Raises Unavailable."""
        at = datetime.fromisoformat(event["eventTime"])
        return _key(event) in set(self._stored(at - MOMENT, at + MOMENT, self._json))

    def stored(self, after: datetime, before: datetime) -> Iterator[tuple[str, str]]:
        """Run id and type of every stored event whose time is in the span."""
        return self._stored(after, before, self.get)

    def _stored(self, after: datetime, before: datetime, get: Any) -> Iterator[tuple[str, str]]:
        offset = 0
        while True:
            answer = get("/events/lineage", after=_zulu(after), before=_zulu(before), sortDirection="asc",
                         limit=str(PAGE), offset=str(offset))  # fmt: skip
            try:
                found = [_key(event) for event in answer["events"]]
            except (KeyError, TypeError):
                raise self._garbage() from None
            yield from found
            if len(found) < PAGE:
                return
            offset += PAGE

    # Reading

    def graph(self, node: str, depth: int) -> list[Document]:
        """The nodes around a node. Raises NoSuchNode."""
        return self._list(self.get("/lineage", nodeId=node, depth=str(depth)), "graph")

    def search(self, text: str, limit: int = 1000) -> list[Document]:
        """Datasets and jobs whose name holds the text."""
        return self._list(self.get("/search", q=text, limit=str(limit)), "results")

    def jobs(self) -> list[Document]:
        """The jobs of our namespace."""
        path = f"/namespaces/{quote(self.settings.namespace, safe='')}/jobs"
        return self._list(self.get(path, limit="1000"), "jobs")

    def _list(self, answer: Any, key: str) -> list[Document]:
        found = answer.get(key) if isinstance(answer, dict) else None
        if not isinstance(found, list):
            raise self._garbage()
        return found

    def get(self, path: str, **query: str) -> Any:
        """The JSON of an answer, asked for again where that may help. Raises NoSuchNode, or Unavailable."""
        return self._read(self._request("GET", f"/api/v1{path}", send=self._insist, params=query), path, query)

    def _json(self, path: str, **query: str) -> Any:
        return self._read(self._request("GET", f"/api/v1{path}", params=query), path, query)

    def _read(self, answer: "requests.Response", path: str, query: dict[str, str]) -> Any:
        if answer.status_code in (401, 403):
            raise AccessRefused(f"{self.place} refused us ({answer.status_code}).", "Set MLOPS_MARQUEZ__TOKEN.")
        if answer.status_code == 404 and path in EVERYWHERE:
            raise self._garbage()
        if answer.status_code == 404:
            raise NoSuchNode(f"{self.place} knows nothing of {query.get('nodeId') or path}.", "Has it run yet?")
        if answer.status_code != 200:
            raise self._unavailable(f"answered {answer.status_code}: {' '.join(answer.text.split())[:200]}")
        try:
            return answer.json()
        except ValueError:
            raise self._garbage() from None

    # For doctor

    def ping(self) -> str:
        """What answers there."""
        self._list(self._json("/namespaces", limit="1"), "namespaces")
        return "Marquez API v1"

    def probe_write(self) -> None:
        """Make our namespace, which is what a first event would do."""
        path = f"/api/v1/namespaces/{quote(self.settings.namespace, safe='')}"
        answer = self._request("PUT", path, json={"ownerName": "mlops", "description": "MLOps use cases"})
        if answer.status_code != 200:
            raise self._unavailable(f"refused our namespace ({answer.status_code})")

    # Calling

    def _request(self, verb: str, path: str, send: Any = None, **more: Any) -> "requests.Response":
        import requests

        if not self.settings.url:
            raise ConfigError("No lineage server is configured.", "Set marquez.url, or marquez.embedded: true.")
        url = self.settings.url.rstrip("/") + path
        try:
            return (send or self._send)(verb, url, **more)
        except requests.HTTPError as error:
            raise self._unavailable(f"answered {error.response.status_code}") from error
        except (requests.RequestException, ValueError) as error:  # ValueError: urllib3 cannot read the URL
            raise self._unavailable(f"does not answer ({type(error).__name__})") from error

    def _send(self, verb: str, url: str, **more: Any) -> "requests.Response":
        deadlines = (patience(CONNECT_SECONDS), patience(self.settings.timeout_seconds))
        return self._session.request(verb, url, timeout=deadlines, allow_redirects=False, **more)

    @retry.http
    def _insist(self, verb: str, url: str, **more: Any) -> "requests.Response":
        answer = self._send(verb, url, **more)
        if answer.status_code in (429, 502, 503, 504):
            answer.raise_for_status()
        return answer

    @cached_property
    def _session(self) -> "requests.Session":
        import requests

        session = requests.Session()
        session.trust_env = not self.settings.embedded  # a proxy of the user's cannot reach our loopback
        if token := self.settings.token.get_secret_value():
            session.headers["Authorization"] = f"Bearer {token}"
        return session

    def _unavailable(self, what: str) -> Unavailable:
        return Unavailable(f"The lineage server at {self.place} {what}.", HINT)

    def _garbage(self) -> Unavailable:
        return self._unavailable("does not answer as Marquez does; is it another server")


def _key(event: Document) -> tuple[str, str]:
    return str(event["run"]["runId"]), str(event.get("eventType"))


def _zulu(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
