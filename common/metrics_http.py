"""GET of JSON or text from a metrics server, with short deadlines, and what went wrong in our words."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from common import retry
from common.errors import ExitCode, Unavailable
from common.patience import patience
from common.settings import Prometheus as Section

if TYPE_CHECKING:
    import requests

CONNECT_SECONDS, READ_SECONDS = 3, 5  # a window is 10 s long
HINT = "Look at prometheus.url; `python -m common doctor` shows what answers."


class MetricsRefused(Unavailable):
    """The metrics server said: not you. An experiment outlives it as it outlives any other lack of metrics."""

    exit_code = ExitCode.PERMISSION


@dataclass(frozen=True)
class MetricsServer:
    """Prometheus' API, or the list of targets that stands in for it."""

    settings: Section

    @property
    def place(self) -> str:
        """The URL, in which no password is allowed."""
        return self.settings.url

    def get(self, path: str = "", **query: str) -> Any:
        """The JSON of an answer. Raises Unavailable with a sentence, whatever went wrong."""
        import requests

        try:
            answer = self._get(self.settings.url.rstrip("/") + path, query)
        except (requests.RequestException, ValueError) as error:  # ValueError: urllib3 cannot read the URL
            raise Unavailable(f"Metrics at {self.place} do not answer ({type(error).__name__}).", HINT) from error
        if answer.status_code in (401, 403):
            raise MetricsRefused(f"{self.place} refused the query for metrics ({answer.status_code}).",
                                 "Set MLOPS_PROMETHEUS__TOKEN or prometheus.token_file.")  # fmt: skip
        if answer.status_code != 200:
            said = " ".join(answer.text.split())[:200]
            raise Unavailable(f"{self.place}{path} answered {answer.status_code}: {said}", HINT)
        try:
            return answer.json()
        except ValueError:
            raise self.garbage() from None

    def garbage(self) -> Unavailable:
        """The error for an answer that is not what it should be."""
        return Unavailable(f"{self.place} does not answer as Prometheus does; is it another server?", HINT)

    @retry.http
    def _get(self, url: str, query: dict[str, str]) -> "requests.Response":
        deadlines = (patience(CONNECT_SECONDS), patience(READ_SECONDS))
        answer = self._session.get(url, params=query, timeout=deadlines, allow_redirects=False)
        if answer.status_code in (429, 502, 503, 504):
            answer.raise_for_status()  # worth repeating
        return answer

    @cached_property
    def _session(self) -> "requests.Session":
        import requests

        session = requests.Session()
        token = self.settings.token.get_secret_value()
        if token:
            session.auth = _Bearer(token)
        return session


@dataclass(frozen=True)
class _Bearer:
    """As an `auth` and not as a header, which requests would replace by what ~/.netrc says of the host."""

    token: str

    def __call__(self, request: "requests.PreparedRequest") -> "requests.PreparedRequest":
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request
