"""The Kubernetes API: apply, get, list, patch, delete, watch - with deadlines, and our errors.

Objects are plain dicts. Writes are server-side apply as field manager "mlops": it creates or changes, it can be
repeated, and it names who else owns a field. No call lasts longer than its deadline.
"""

import json
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from common import retry
from common.errors import DeadlineExceeded, MlopsError
from common.k8s_connection import KINDS, connect, named, path_of
from common.k8s_errors import (
    FieldConflict,
    HistoryGone,
    NoSuchNamespace,
    in_our_words,
    is_field_conflict,
    status_of,
    told,
    translate,
    unreadable,
)
from common.logger import get_logger
from common.patience import ANSWER_SECONDS, CONNECT_SECONDS, patience
from common.settings import Kubernetes as Section

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

Document = dict[str, Any]
Event = tuple[str, Document]
MANAGER = "mlops"
WATCH_SECONDS = 12  # the server ends a quiet watch before we would call it dead
PAUSE_SECONDS = 0.2
log = get_logger(__name__)


class Kubernetes:
    """One API server. Nothing connects before the first call."""

    def __init__(self, settings: Section) -> None:
        self._settings = settings

    @cached_property
    def server(self) -> str:
        """URL of the API server."""
        with in_our_words(self._settings.kubeconfig or "the pod's address", "its configuration"):
            host: str = self._client.configuration.host
            return host

    def ping(self) -> str:
        """The server's version."""
        return str(self._call("GET", "/version", "its version")["gitVersion"])

    def probe_write(self, namespace: str) -> None:
        """Try a write without making it. A namespace that is not there yet is no failure: we create it."""
        probe = {
            "apiVersion": "serving.kserve.io/v1alpha1", "kind": "ServingRuntime",
            "metadata": {"name": "write-probe", "namespace": namespace},
            "spec": {"containers": [{"name": "kserve-container", "image": "probe"}]},
        }  # fmt: skip
        try:
            self._apply(probe, {"dryRun": "All"})
        except NoSuchNamespace:
            return

    def apply(self, document: Document, *, force: bool = False) -> Document:
        """Server-side apply. Raises FieldConflict where another manager owns a field, unless `force`."""
        return self._apply(document, {"force": "true"} if force else {})

    def _apply(self, document: Document, query: dict[str, str]) -> Document:
        metadata = document["metadata"]
        path = path_of(document["kind"], metadata.get("namespace", ""), metadata["name"])
        query = {"fieldManager": MANAGER, **query}
        return self._call("PATCH", path, named(document), query, document, "application/apply-patch+yaml")

    def declare(self, document: Document) -> Document:
        """Apply, whatever is in the way: make the namespace, and take back fields that others changed."""
        try:
            return self.apply(document)
        except NoSuchNamespace:
            self.ensure_namespace(document["metadata"]["namespace"])
            return self.apply(document)
        except FieldConflict as conflict:
            log.warning("putting right what another manager changed", cause=conflict.message)
            return self.apply(document, force=True)

    def create(self, document: Document) -> Document:
        """Create. Raises Changed when there is one of this name."""
        path = path_of(document["kind"], document["metadata"].get("namespace", ""))
        return self._call("POST", path, named(document), {"fieldManager": MANAGER}, document)

    def merge_patch(self, kind: str, name: str, namespace: str, patch: Document, *, status: bool = False) -> Document:
        """Change what the patch says; a `metadata.resourceVersion` in it is a condition."""
        path = path_of(kind, namespace, name) + ("/status" if status else "")
        query = {"fieldManager": MANAGER}
        return self._call("PATCH", path, f"{kind} {namespace}/{name}", query, patch, "application/merge-patch+json")

    def get(self, kind: str, name: str, namespace: str = "") -> Document | None:
        """The object, or None."""
        return self._find("GET", kind, name, namespace)

    def list(self, kind: str, namespace: str = "", labels: str = "") -> "list[Document]":
        """Objects of a kind, of one namespace or of all; `labels` is a selector such as "app=churn"."""
        query = {"labelSelector": labels} if labels else {}
        found = self._call("GET", path_of(kind, namespace), f"{kind} in {namespace or 'all namespaces'}", query)
        return [{**item, "kind": kind, "apiVersion": KINDS[kind][0]} for item in found["items"]]

    def delete(self, kind: str, name: str, namespace: str = "") -> bool:
        """Delete; False when it was not there."""
        return self._find("DELETE", kind, name, namespace) is not None

    def ensure_namespace(self, name: str) -> None:
        """Create the namespace where there is none."""
        if self.get("Namespace", name) is None:
            self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def watch(self, kind: str, namespace: str, name: str, seconds: float) -> Iterator[Event]:
        """Events of one object, its present state first, for so many seconds. Broken watches are resumed.

        Yields ("ADDED" | "MODIFIED" | "DELETED", object). Where the history is gone (410, as an event or as the answer)
        it begins again with the present state. Raises what any other refusal means.
        """
        end, version = time.monotonic() + seconds, ""
        while (remaining := end - time.monotonic()) > 0:
            query = {"watch": "true", "fieldSelector": f"metadata.name={name}", "resourceVersion": version,
                     "timeoutSeconds": str(max(1, min(int(remaining), WATCH_SECONDS)))}  # fmt: skip
            started = time.monotonic()
            try:
                for event_type, document in self._events(path_of(kind, namespace), f"{kind} {namespace}/{name}", query):
                    version = document["metadata"]["resourceVersion"]
                    yield event_type, document
                    if time.monotonic() > end:
                        return
            except HistoryGone:
                version = ""
            # A server that ends every watch at once is asked again, but not in a frenzy.
            time.sleep(max(0.0, min(started + PAUSE_SECONDS, end) - time.monotonic()))

    def wait_for(
        self, kind: str, name: str, namespace: str, is_done: Callable[[Document], bool], seconds: float
    ) -> Document:
        """Wait until the object is as wanted. Raises what `is_done` raises, and DeadlineExceeded."""
        for event_type, document in self.watch(kind, namespace, name, seconds):
            if event_type != "DELETED" and is_done(document):
                return document
        raise DeadlineExceeded(f"{kind} {namespace}/{name} was not as wanted within {seconds:g} s.")

    def _find(self, method: str, kind: str, name: str, namespace: str) -> Document | None:
        from kubernetes.client import ApiException

        def once() -> Document | None:
            try:
                return self._request(method, path_of(kind, namespace, name))
            except ApiException as error:
                # Without a Status it is the kind that is missing, and that is no "None".
                if error.status == 404 and status_of(error):
                    return None
                raise

        with in_our_words(self.server, f"{kind} {namespace}/{name}"):
            return retry.kubernetes.call(once)

    def _call(
        self, method: str, path: str, what: str, query: dict[str, str] | None = None, body: Any = None,
        content_type: str = "application/json",
    ) -> Document:  # fmt: skip
        def once() -> Document:
            try:
                return self._request(method, path, query, body, content_type)
            except Exception as error:
                ours = translate(error, self.server, what) if is_field_conflict(error) else None
                if ours is not None:
                    raise ours from error
                raise

        with in_our_words(self.server, what):
            return retry.kubernetes.call(once)

    def _request(
        self, method: str, path: str, query: dict[str, str] | None = None, body: Any = None,
        content_type: str = "application/json",
    ) -> Document:  # fmt: skip
        response = self._send(method, path, query, body, content_type)
        try:
            answer = json.loads(response.data)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise unreadable(self.server, path)
        return answer

    def _send(
        self, method: str, path: str, query: Any = None, body: Any = None, content_type: str = "application/json"
    ) -> Any:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        return self._client.call_api(
            path, method, query_params=list((query or {}).items()), header_params=headers, body=body,
            auth_settings=["BearerToken"], _preload_content=False, _return_http_data_only=True,
            _request_timeout=(patience(CONNECT_SECONDS), patience(ANSWER_SECONDS)),
        )  # fmt: skip

    def _events(self, path: str, what: str, query: dict[str, str]) -> Iterator[Event]:
        """One watch. Raises HistoryGone where its start is forgotten; ends where the connection breaks."""
        with in_our_words(self.server, what):
            response = retry.kubernetes.call(self._watching, path, query)
        try:
            for line in response:
                if line.strip():
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise told(event["object"], self.server, what)
                    yield event["type"], event["object"]
        except MlopsError:
            raise
        except Exception as error:
            if not isinstance(error, ValueError) and translate(error, self.server, what) is None:
                raise
            log.debug("a watch broke", what=what, error=type(error).__name__)
        finally:
            response.release_conn()

    def _watching(self, path: str, query: dict[str, str]) -> Any:
        from kubernetes.client import ApiException

        try:
            return self._send("GET", path, query)
        except ApiException as error:
            if error.status == 410:  # asking the same again would be answered the same
                raise HistoryGone(f"The history of {path} is gone.") from error
            raise

    @cached_property
    def _client(self) -> "ApiClient":
        return connect(self._settings)
