"""What the metrics clients are tested on: real model servers, a list of them, and two kinds of Prometheus."""

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.serving.artefacts import TrainedArtefact
from tests.serving.kube import free_port, get, until

Answer = tuple[int, str]
SELECTOR = re.compile(
    r'\{__name__=~"([^"]+)",namespace=("(?:[^"\\]|\\.)*"),model_name=("(?:[^"\\]|\\.)*")\}\[(\d+)ms\]'
)


class ModelServer:
    """`python -m serving` for one revision; it can be replaced by another process on the same port."""

    def __init__(self, model: TrainedArtefact, revision: str) -> None:
        self.model, self.revision, self.address = model, revision, f"127.0.0.1:{free_port()}"

    def start(self, faults: str = "") -> "ModelServer":
        program = [sys.executable, "-m", "serving", "--model_name", "churn", "--model_dir", str(self.model.directory)]
        environment = {**os.environ, "REVISION": self.revision, "FAULTS": faults}
        self.process = subprocess.Popen([*program, "--http_port", self.address.rpartition(":")[2]], env=environment)
        until(lambda: get(f"http://{self.address}/v2/models/churn/ready") == 200)
        return self

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)

    def predict(self, times: int, body: Any = None) -> list[int]:
        url = f"http://{self.address}/v1/models/churn:predict"
        body = body or {"instances": self.model.rows[:1]}
        return [requests.post(url, json=body, timeout=10).status_code for _ in range(times)]

    def target(self, **labels: str) -> dict[str, Any]:
        """As http_sd lists it."""
        known = {"namespace": "models", "service": "churn", "revision": self.revision}
        return {"targets": [self.address], "labels": known | labels}


@contextlib.contextmanager
def answering(answer: Callable[[str, dict[str, str], Any], Answer]) -> Iterator[str]:
    """An HTTP server that answers GETs by a function of path, query and headers; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            code, body = answer(parts.path, query, self.headers)
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            with contextlib.suppress(BrokenPipeError):
                self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class FakePrometheus:
    """Its /api/v1/query scrapes the listed targets whenever it is asked, and remembers what it scraped."""

    def __init__(self, targets: list[dict[str, Any]]) -> None:
        self.targets = targets
        self.series: dict[tuple[tuple[str, str], ...], list[tuple[float, str]]] = {}

    def __call__(self, path: str, query: dict[str, str], headers: Any) -> Answer:
        if path == "/api/v1/status/buildinfo":
            return 200, json.dumps({"status": "success", "data": {"version": "3.0-fake"}})
        selector = SELECTOR.fullmatch(query.get("query", ""))
        if path != "/api/v1/query" or not selector:
            return 400, json.dumps({"status": "error", "errorType": "bad_data", "error": "parse error"})
        self._scrape()
        names, namespace, model, milliseconds = selector.groups()
        oldest = time.time() - int(milliseconds) / 1000
        result = [
            {"metric": dict(labels), "values": [[at, value] for at, value in samples if at > oldest]}
            for labels, samples in self.series.items()
            if dict(labels)["__name__"] in names.split("|")
            and (dict(labels)["namespace"], dict(labels).get("model_name"))
            == (json.loads(namespace), json.loads(model))
        ]
        recent = [each for each in result if each["values"]]
        return 200, json.dumps({"status": "success", "data": {"resultType": "matrix", "result": recent}})

    def _scrape(self) -> None:
        for group in self.targets:
            for target in group["targets"]:
                with contextlib.suppress(requests.RequestException):
                    text, at = requests.get(f"http://{target}/metrics", timeout=2).text, round(time.time(), 3)
                    self._keep(text, at, {**group["labels"], "instance": target, "job": "models"})

    def _keep(self, text: str, at: float, target: dict[str, str]) -> None:
        for family in text_string_to_metric_families(text):
            for name, labels, value, *_ in family.samples:
                renamed = {f"exported_{key}" if key in target else key: text for key, text in labels.items()}
                key = tuple(sorted({**renamed, **target, "__name__": name}.items()))
                self.series.setdefault(key, []).append((at, str(value)))


@contextlib.contextmanager
def real_prometheus(program: str, list_url: str, directory: Path) -> Iterator[str]:
    """Prometheus itself, scraping what is listed four times a second; yields its URL."""
    config = {
        "global": {"scrape_interval": "250ms", "scrape_timeout": "200ms"},
        "scrape_configs": [
            {"job_name": "models", "http_sd_configs": [{"url": list_url, "refresh_interval": "250ms"}]}
        ],
    }  # fmt: skip
    (directory / "prometheus.json").write_text(json.dumps(config))  # JSON is YAML
    url = f"127.0.0.1:{free_port()}"
    command = [program, f"--config.file={directory / 'prometheus.json'}", f"--storage.tsdb.path={directory / 'tsdb'}",
               f"--web.listen-address={url}", "--log.level=error"]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        until(lambda: get(f"http://{url}/-/ready") == 200)
        yield f"http://{url}"
    finally:
        process.terminate()
        process.wait(20)
