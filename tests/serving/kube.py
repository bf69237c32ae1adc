"""A Kubernetes API server of the test's own, as a process, and what the tests do with it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import requests
from pydantic import SecretStr

from common.k8s_client import Kubernetes
from common.serving_manifests import Deployment, inference_service, serving_runtime
from common.settings import Kserve, Minio
from common.settings import Kubernetes as Section

Document = dict[str, Any]


class KubeApi:
    """`python -m embedded.kube_api` on a state directory; it can be stopped, killed and started again."""

    def __init__(self, state: Path, port: int = 0) -> None:
        self.state, self.port = state, port or free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "KubeApi":
        command = [sys.executable, "-m", "embedded.kube_api", "--port", str(self.port), "--state-dir", str(self.state)]
        log = (self.state / "kube.log").open("ab")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MLOPS_")}
        self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        log.close()
        until(lambda: get(f"{self.server}/healthz") == 200, seconds=20)
        return self

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(20)

    @property
    def server(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def section(self) -> Section:
        token = (self.state / "secrets" / "kubernetes").read_text()
        return Section(server=self.server, token=SecretStr(token), embedded=True)

    def client(self) -> Kubernetes:
        return Kubernetes(self.section)

    def model_servers(self, service: str = "") -> list[psutil.Process]:
        """Running model servers, of one service or of all."""
        return [each for each in self._children() if f"--model_name={service}" in " ".join(_command(each))]

    def doors(self) -> list[psutil.Process]:
        """Running front doors."""
        return [each for each in self._children() if "caddy.json" in _command(each)]

    def _children(self) -> list[psutil.Process]:
        assert self.process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children()
        return []


def _command(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return list(process.cmdline())
    return []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(url: str) -> int:
    """Status of a GET, 0 where nobody answers."""
    try:
        return requests.get(url, timeout=5).status_code
    except requests.RequestException:
        return 0


def until(is_so: Callable[[], Any], *, seconds: float = 30) -> Any:
    """Wait for a truth; returns it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = is_so()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"did not come true within {seconds} s")


def declare(kube: Kubernetes, minio: Minio, name: str, uri: str) -> Deployment:
    """Apply the runtime and an InferenceService as our own client writes them."""
    wanted = Deployment(name, "models", "1", uri.rpartition("/")[2], uri, "key")
    kube.ensure_namespace("models")
    kube.apply(serving_runtime("models", Kserve(), minio), force=True)
    kube.apply(inference_service(wanted, Kserve(), minio), force=True)
    return wanted


def status(kube: Kubernetes, name: str) -> Document:
    """The InferenceService's status; {} before it has one."""
    found = kube.get("InferenceService", name, "models") or {}
    answer: Document = found.get("status", {})
    return answer


def transition(kube: Kubernetes, name: str) -> str:
    """modelStatus.transitionStatus of the present spec, "" while the status speaks of an older one."""
    found = kube.get("InferenceService", name, "models") or {"metadata": {}}
    seen = found.get("status", {})
    if seen.get("observedGeneration") != found["metadata"].get("generation"):
        return ""
    return str(seen["modelStatus"]["transitionStatus"])


def settle(kube: Kubernetes, name: str, wanted: str = "UpToDate") -> Document:
    """Wait until the service is as wanted; returns its status."""
    until(lambda: transition(kube, name) == wanted)
    return status(kube, name)


@contextlib.contextmanager
def running(state: Path) -> Iterator[KubeApi]:
    api = KubeApi(state).start()
    try:
        yield api
    finally:
        api.stop()
