"""Is everything there? One line a service: address, version, latency, whether it can be written to, what to do."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from common.config_sources import ignored_tool_variables
from common.failures import explain
from common.k8s_client import Kubernetes
from common.platform import address_of
from common.settings import Settings, without_credentials
from common.tools import Tools

CLIENTS = ("postgres", "minio", "mlflow", "dvc", "git", "kubernetes", "kubeflow", "prometheus", "argocd", "marquez")


class Finding(NamedTuple):
    """What doctor found of one service. `exit_code` is 0 when it is well; `remedy` mends it when not."""

    service: str
    place: str
    address: str
    version: str
    milliseconds: int
    writable: bool
    exit_code: int
    problem: str
    remedy: str


def examine(settings: Settings) -> list[Finding]:
    """Look at every service, side by side; each look has its client's own deadlines."""
    tools = Tools(settings)
    names = [name for name in CLIENTS if name != "marquez" or settings.marquez.url]  # the one that nobody must have
    with ThreadPoolExecutor(len(CLIENTS)) as pool:
        return list(pool.map(lambda name: _look(tools, name), names))


def as_text(findings: list[Finding]) -> str:
    """For people."""
    lines = [line for finding in findings for line in _lines(finding)]
    embedded = {finding.service for finding in findings if finding.place == "embedded"}
    if ignored := ignored_tool_variables(embedded, os.environ):
        lines.append(f"ignored, because their sections are embedded: {', '.join(ignored)}")
    return "\n".join(lines)


def _lines(finding: Finding) -> Iterator[str]:
    head = f"{'✓' if not finding.exit_code else '✗'} {finding.service:11} {finding.place:9} {finding.address:40}"
    if finding.exit_code:
        yield f"{head} {finding.problem}"
        yield f"  mend it: {finding.remedy}"
    else:
        writable = "written to" if finding.writable else "not written to"
        yield f"{head} {finding.version:28} {finding.milliseconds:5} ms  {writable}"


def _look(tools: Tools, name: str) -> Finding:
    section = tools.settings.services()[name]
    place = "embedded" if section.embedded else "remote"
    address, started = _address(tools.settings, name), time.monotonic()
    try:
        client: Any = getattr(tools, name)
        version = client.ping()
        started = time.monotonic()  # from here on no library is being imported: this is the service's own time
        client.ping()
        milliseconds = _since(started)
        written = _probe_write(client, tools.settings)
    except Exception as error:  # each service is looked at whatever the others do
        failure = explain(error)
        remedy = "python -m embedded up" if section.embedded else failure.hint or f"Check {name} in the configuration."
        return Finding(name, place, address, "", _since(started), False, int(failure.code), failure.cause, remedy)
    return Finding(name, place, address, version, milliseconds, written, 0, "", "")


def _probe_write(client: Any, settings: Settings) -> bool:
    """Try to write; False where there is nothing to write to: metrics are only read."""
    if isinstance(client, Kubernetes):
        client.probe_write(settings.uc1.namespace)  # where we have rights at all
        return True
    if not hasattr(client, "probe_write"):
        return False
    client.probe_write()
    return True


def _address(settings: Settings, name: str) -> str:
    if name == "kubeflow":
        return "this process" if settings.kubeflow.embedded else without_credentials(settings.kubeflow.host)
    if name == "argocd" and (settings.argocd.embedded or not settings.argocd.server):
        return f"namespace {settings.argocd.namespace}, through kubernetes"
    if name == "kubernetes" and not settings.kubernetes.server:
        return settings.kubernetes.kubeconfig or "the pod's credentials"
    host, port, path = address_of(settings, name)
    return path if path is not None else f"{host}:{port}"


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
