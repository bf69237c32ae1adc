"""A small Kubeflow Pipelines server over real HTTP: the paths of its v2beta1 API that a client of ours calls.

It keeps what it is told in lists. A run ends in the state that `outcome` names, after it was asked for twice. Looks at
a run are answered with the statuses in `faults`, until none is left.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class FakeKubeflow:
    """`with FakeKubeflow() as server:` then `server.url`, `server.runs`, `server.versions`."""

    def __init__(self, token: str = "") -> None:
        self.token, self.outcome = token, "SUCCEEDED"
        self.pipelines: list[dict[str, Any]] = []
        self.versions: list[dict[str, Any]] = []
        self.runs: list[dict[str, Any]] = []
        self.asked: dict[str, int] = {}
        self.faults: list[int] = []

    def __enter__(self) -> "FakeKubeflow":
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer("GET")

            def do_POST(self) -> None:
                self.answer("POST")

            def answer(self, method: str) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if owner.token and self.headers.get("Authorization") != f"Bearer {owner.token}":
                    return self.send(401, {"error": "no"})
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                path = parts.path.removeprefix("/apis/v2beta1/")
                return self.send(*owner.route(method, path, query, body))

            def send(self, status: int, value: Any) -> None:
                data = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def route(self, method: str, path: str, query: dict[str, str], body: bytes) -> tuple[int, Any]:
        """Status and answer of one request."""
        match method, path.split("/"):
            case "GET", ["healthz"]:
                return 200, {"multi_user": False}
            case "GET", ["pipelines"]:
                return 200, {"pipelines": self.pipelines}
            case "POST", ["pipelines", "upload"]:
                self.pipelines.append({"pipeline_id": "p1", "display_name": query["name"]})
                return 200, self.pipelines[-1]
            case "POST", ["pipelines", "upload_version"]:
                version = {"pipeline_id": query["pipelineid"], "display_name": query["name"], "body": body.decode()}
                self.versions.append(version)
                return 200, {**version, "body": ""}
            case "GET", ["pipelines", _, "versions"]:
                return 200, {"pipeline_versions": self.versions}
            case "GET", ["experiments", *_]:
                return 200, {"experiments": [{"experiment_id": "e1", "display_name": "churn-training"}]}
            case "POST", ["runs"]:
                return 200, self.started(json.loads(body))
            case "GET", ["runs"]:
                wanted = json.loads(query["filter"])["predicates"][0]["string_value"]
                return 200, {"runs": [run for run in self.runs if run["display_name"] == wanted]}
            case "GET", ["runs", run_id]:
                return (self.faults.pop(), {"error": "fault"}) if self.faults else (200, self.seen(run_id))
        return 404, {"error": f"{method} {path}"}

    def started(self, said: dict[str, Any]) -> dict[str, Any]:
        """A run that begins."""
        self.runs.append({**said, "run_id": f"r{len(self.runs) + 1}", "state": "PENDING"})
        return self.runs[-1]

    def seen(self, run_id: str) -> dict[str, Any]:
        """A run as it is now: running when first asked for, ended afterwards."""
        run = next(run for run in self.runs if run["run_id"] == run_id)
        self.asked[run_id] = self.asked.get(run_id, 0) + 1
        if run["state"] in ("PENDING", "RUNNING"):
            run["state"] = "RUNNING" if self.asked[run_id] < 2 else self.outcome
        if run["state"] == "FAILED":
            run["error"] = {"code": 2, "message": "component train: out of memory"}
        return run
