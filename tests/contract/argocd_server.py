"""The part of Argo CD's REST API that we use, written by hand: in front of a Kubernetes API, as the real one is."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from common.k8s_client import Kubernetes
from tests.http_server import serving

TOKEN = "token-of-a-robot"
Document = dict[str, Any]
Answer = tuple[int, Document]


class ArgocdServer:
    """Answers as argocd-server 3.5 does, errors included; `asked` are the requests."""

    def __init__(self, kube: Kubernetes) -> None:
        self.kube, self.url = kube, ""
        self.asked: list[str] = []

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        self.asked.append(f"{method} {path}")
        match [method, *path.strip("/").split("/")]:
            case ["GET", "api", "version"]:
                return 200, {"Version": "v3.5.1+fake"}
            case ["POST", "api", "v1", "projects"]:
                return 200, self.kube.declare(body["project"])
            case ["GET", "api", "v1", "projects", name]:
                found = self.kube.get("AppProject", name, "argocd")
                return (200, found) if found else (404, {"message": f"appprojects.argoproj.io {name!r} not found"})
            case ["POST", "api", "v1", "applications"]:
                return 200, self.kube.declare(body)
            case ["GET", "api", "v1", "applications", name]:
                return self._get(name, query)
            case ["POST", "api", "v1", "applications", name, "sync"]:
                return self._sync(name, body)
        return 404, {"error": "Not Found", "code": 5, "message": "Not Found"}

    def _get(self, name: str, query: dict[str, str]) -> Answer:
        namespace = query.get("appNamespace", "argocd")
        live = self.kube.get("Application", name, namespace)
        if live is None:  # without the project, one that is missing looks like one that is forbidden
            code = 404 if "project" in query else 403
            return code, {"message": f"applications.argoproj.io {name!r} not found"}
        if "refresh" in query:
            notes = {"argocd.argoproj.io/refresh": query["refresh"]}
            self.kube.merge_patch("Application", name, namespace, {"metadata": {"annotations": notes}})
            while "argocd.argoproj.io/refresh" in (live["metadata"].get("annotations") or notes):
                time.sleep(0.05)
                live = self.kube.get("Application", name, namespace) or live
                notes = {}
        return 200, live

    def _sync(self, name: str, body: Document) -> Answer:
        namespace = body["appNamespace"]
        live = self.kube.get("Application", name, namespace)
        if live is None:
            return 404, {"message": f"applications.argoproj.io {name!r} not found"}
        if body.get("revision") not in (None, live["spec"]["source"]["targetRevision"]):
            return 400, {"message": f"Cannot sync to {body['revision']}: auto-sync currently set to main"}
        if live.get("operation"):
            return 400, {"message": "another operation is already in progress"}
        sync = {"prune": body["prune"], "syncOptions": body["syncOptions"]["items"]}
        operation = {"operation": {"initiatedBy": {"username": "robot"}, "sync": sync}}
        return 200, self.kube.merge_patch("Application", name, namespace, operation)


def _handler(owner: ArgocdServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def reply(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or "null")
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                code, said = (
                    401,
                    {"error": "invalid session", "code": 16, "message": "invalid session: token is malformed"},
                )
            else:
                code, said = owner.answer(self.command, parts.path, query, body)
            content = json.dumps(said).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = reply  # noqa: N815 (http.server's names)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextmanager
def argocd_server(kube: Kubernetes) -> Iterator[ArgocdServer]:
    """The API, for the length of a block."""
    owner = ArgocdServer(kube)
    with serving(_handler(owner)) as port:
        owner.url = f"http://127.0.0.1:{port}"
        yield owner
