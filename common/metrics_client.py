"""What the model servers counted, instance by instance: from Prometheus, or from their own /metrics.

Two classes with one contract. PrometheusMetrics asks an HTTP API; ScrapedMetrics reads the list of targets that a
Prometheus would be configured with (http_sd) and scrapes them itself. Whoever reads twice knows what happened in
between (churn/windows.py).
"""

import math
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from common.metrics_http import MetricsServer
from common.settings import Prometheus as Section

REQUESTS, BUCKET = "model_requests_total", "model_request_seconds_bucket"
SCRAPE_SECONDS = (1, 2)
SCRAPES_AT_ONCE = 8

Series = tuple[str, dict[str, str], float]  # name, labels, value


@dataclass(frozen=True)
class Sample:
    """One instance's counters at a time, in seconds since 1970. `errors` are answers of 5xx, `refused` of 4xx.

    `buckets` count latencies up to a bound in seconds, cumulatively; the last bound is infinite.
    """

    revision: str
    instance: str
    at: float
    requests: float
    errors: float
    refused: float
    buckets: tuple[tuple[float, float], ...]


class Metrics(Protocol):
    """Where metrics are read."""

    def read(self, namespace: str, service: str) -> tuple[Sample, ...]:
        """Every instance of the service that is known now; what is stale or down is absent. Raises Unavailable."""

    def ping(self) -> str:
        """What answers. Raises Unavailable."""


class ScrapedMetrics:
    """Reads /metrics of every target of the list itself."""

    def __init__(self, settings: Section) -> None:
        self._server = MetricsServer(settings)

    def ping(self) -> str:
        """How many targets there are."""
        return f"/metrics of {len(self._targets())} model servers"

    def read(self, namespace: str, service: str) -> tuple[Sample, ...]:
        """Scrape the service's targets, side by side."""
        wanted = [
            (address, labels.get("revision", ""))
            for address, labels in self._targets()
            if (labels.get("namespace"), labels.get("service")) == (namespace, service)
        ]
        with ThreadPoolExecutor(SCRAPES_AT_ONCE) as pool:
            scraped = pool.map(lambda target: _scrape(target[0], target[1], service), wanted)
            return tuple(sample for samples in scraped for sample in samples)

    def _targets(self) -> list[tuple[str, dict[str, str]]]:
        groups = self._server.get()
        try:
            return [(str(target), dict(group["labels"])) for group in groups for target in group["targets"]]
        except (TypeError, KeyError, ValueError):
            raise self._server.garbage() from None


def _scrape(address: str, revision: str, model_name: str) -> list[Sample]:
    """What an instance says, by revision; nothing where it does not answer: a server may be starting or gone."""
    import requests
    from prometheus_client.parser import text_string_to_metric_families

    try:
        answer = requests.get(f"http://{address}/metrics", timeout=SCRAPE_SECONDS)
        answer.raise_for_status()
        families = list(text_string_to_metric_families(answer.text))
    except (requests.RequestException, ValueError):
        return []
    found: dict[str, list[Series]] = {}
    for name, labels, value, *_ in (sample for family in families for sample in family.samples):
        if name in (REQUESTS, BUCKET) and labels.get("model_name") == model_name:
            found.setdefault(labels.get("revision", revision), []).append((name, labels, value))
    return [_sample(name, address, time.time(), series) for name, series in found.items()]


class PrometheusMetrics:
    """Asks Prometheus' HTTP API, or one like it (Thanos, Mimir, VictoriaMetrics)."""

    def __init__(self, settings: Section) -> None:
        self._server, self._stale_seconds = MetricsServer(settings), settings.stale_seconds

    def ping(self) -> str:
        """Its version."""
        try:
            return f"Prometheus {self._server.get('/api/v1/status/buildinfo')['data']['version']}"
        except (TypeError, KeyError):
            raise self._server.garbage() from None

    def read(self, namespace: str, service: str) -> tuple[Sample, ...]:
        """Ask for all samples of the last `stale_seconds` at once, and keep each instance's newest scrape.

        A range of raw samples, because only they carry the time of their scrape; and by the server's own clock.
        """
        labels = f"namespace={_quoted(namespace)},model_name={_quoted(service)}"
        query = f'{{__name__=~"{REQUESTS}|{BUCKET}",{labels}}}[{max(1, round(self._stale_seconds * 1000))}ms]'
        answer = self._server.get("/api/v1/query", query=query)
        try:
            if answer["data"]["resultType"] != "matrix":
                raise self._server.garbage()
            series = [_newest(each) for each in answer["data"]["result"] if each.get("values")]
        except (TypeError, KeyError, ValueError, AttributeError):
            raise self._server.garbage() from None
        return _newest_scrapes(series)


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _newest(result: dict[str, Any]) -> tuple[float, Series]:
    labels = {str(name): str(value) for name, value in result["metric"].items()}
    at, value = result["values"][-1]
    return float(at), (labels["__name__"], labels, float(value))


def _newest_scrapes(series: Iterable[tuple[float, Series]]) -> tuple[Sample, ...]:
    """One sample an instance. Series that its newest scrape did not have are of a process before a restart.

    A pod that two jobs scrape, or on two ports, is one instance: counted twice, it would be twice the evidence.
    """
    scrapes: dict[tuple[str, str], dict[tuple[float, str], list[Series]]] = {}
    for at, (name, labels, value) in series:
        instance = labels.get("pod") or labels.get("instance", "")
        by_scrape = scrapes.setdefault((labels.get("revision", ""), instance), {})
        job = f"{labels.get('job')} {labels.get('instance')}"
        by_scrape.setdefault((at, job), []).append((name, labels, value))
    return tuple(
        _sample(revision, instance, max(by_scrape)[0], by_scrape[max(by_scrape)])
        for (revision, instance), by_scrape in scrapes.items()
    )


def _sample(revision: str, instance: str, at: float, series: list[Series]) -> Sample:
    counted = [(labels.get("code", ""), value) for name, labels, value in series if name == REQUESTS]
    buckets = sorted((float(labels.get("le", math.inf)), value) for name, labels, value in series if name == BUCKET)
    errors, refused = (sum(value for code, value in counted if code.startswith(first)) for first in ("5", "4"))
    return Sample(
        revision=revision, instance=instance, at=at, requests=sum(value for _, value in counted),
        errors=errors, refused=refused, buckets=tuple(buckets),
    )  # fmt: skip
