"""Argo CD through its own REST API, for where the Kubernetes API that it lives in cannot be reached."""

from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from common import retry
from common.argocd_manifests import Delivery, app_project, application, operation, refuse_no_project
from common.errors import AccessRefused, StepFailed, Unavailable
from common.patience import ANSWER_SECONDS, CONNECT_SECONDS, patience
from common.settings import Argocd as Section

if TYPE_CHECKING:
    import requests

Document = dict[str, Any]
ACCESS_HINT = "Set MLOPS_ARGOCD__TOKEN to a token of an account that may get, create, update and sync applications."


class RestApplications:
    """Applications behind an API server and a token."""

    def __init__(self, settings: Section) -> None:
        self._settings = settings

    def ping(self) -> str:
        """Argo CD's version."""
        return f"Argo CD {self._call('GET', '/api/version').get('Version', '?')}"

    def declare(self, wanted: Delivery) -> Document:
        """Create or replace; `upsert` makes that one call each. A project that is given is only looked at."""
        if wanted.project_is_ours:
            self._call("POST", "/api/v1/projects", body={"project": app_project(wanted), "upsert": True})
        else:
            given = self._send("GET", f"/api/v1/projects/{quote(wanted.project, safe='')}", {})
            refuse_no_project(wanted, is_there=given.status_code != 404)  # 403: we may not look, and need not
        return self._call("POST", "/api/v1/applications", {"upsert": "true"}, application(wanted))

    def get(self, wanted: Delivery) -> Document | None:
        """The Application, or None; with its project, as without it a missing one is answered by 403."""
        return self._find(wanted, {})

    def refresh(self, wanted: Delivery) -> None:
        """A GET that makes Argo CD look at the repository first."""
        self._find(wanted, {"refresh": "normal"})

    def sync(self, wanted: Delivery) -> None:
        """Ask for a sync; an operation that is under way is as good."""
        asked = operation()["sync"]
        body = {"prune": asked["prune"], "syncOptions": {"items": asked["syncOptions"]}, "project": wanted.project,
                "appNamespace": wanted.argocd_namespace}  # fmt: skip
        response = self._send("POST", f"{_path(wanted)}/sync", {}, body)
        if "another operation is already in progress" not in response.text:
            self._answer(response, f"syncing {wanted.name}")

    def _find(self, wanted: Delivery, query: dict[str, str]) -> Document | None:
        scope = {"project": wanted.project, "appNamespace": wanted.argocd_namespace}
        response = self._send("GET", _path(wanted), {**scope, **query})
        return None if response.status_code == 404 else self._answer(response, f"application {wanted.name}")

    def _call(self, method: str, path: str, query: dict[str, str] | None = None, body: Any = None) -> Document:
        return self._answer(self._send(method, path, query or {}, body), path)

    def _send(self, method: str, path: str, query: dict[str, str], body: Any = None) -> "requests.Response":
        import requests

        @retry.http
        def send() -> requests.Response:
            # Each of these may be repeated: reads, upserts, and a sync to where the branch is.
            response = self._session.request(
                method, self._settings.server.rstrip("/") + path, params=query, json=body,
                timeout=(patience(CONNECT_SECONDS), patience(ANSWER_SECONDS)),
                headers={"Idempotency-Key": "argocd"}, allow_redirects=False,
            )  # fmt: skip
            if response.status_code in (429, 502, 503, 504):
                response.raise_for_status()
            return response

        try:
            return send()
        except requests.RequestException as error:
            raise Unavailable(f"Argo CD at {self._host} does not answer ({type(error).__name__}).",
                              "Is argocd.server right, and argocd.ca_file?") from error  # fmt: skip

    def _answer(self, response: "requests.Response", what: str) -> Document:
        if response.status_code in (401, 403):
            raise AccessRefused(f"Argo CD at {self._host} refuses us {what}: {_said(response)}.", ACCESS_HINT)
        if response.status_code >= 300:
            raise StepFailed(f"Argo CD at {self._host}, {what}: {response.status_code}, {_said(response)}.")
        try:
            answer: Document = response.json()
        except ValueError:
            raise Unavailable(f"What answers at {self._host} is not Argo CD's API.", "Correct argocd.server.") from None
        return answer

    @property
    def _host(self) -> str:
        return urlsplit(self._settings.server).netloc.rpartition("@")[2]

    @cached_property
    def _session(self) -> "requests.Session":
        import requests

        session = requests.Session()
        session.trust_env = False  # no ~/.netrc: it would replace our token
        session.verify = self._settings.ca_file or True
        session.headers["Authorization"] = f"Bearer {self._settings.token.get_secret_value()}"
        return session


def _path(wanted: Delivery) -> str:
    return f"/api/v1/applications/{quote(wanted.name, safe='')}"


def _said(response: "requests.Response") -> str:
    try:
        return str(response.json().get("message", ""))[:300]
    except (ValueError, AttributeError):
        return response.text[:100]
