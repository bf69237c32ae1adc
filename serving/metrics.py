"""What /metrics tells beyond KServe's own four histograms: requests, errors by code, and latency from 0.5 ms on."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

# Seconds. A prediction takes about one millisecond, so KServe's own buckets, from 5 ms, show nothing.
BUCKETS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5)


@dataclass(frozen=True)
class Metrics:
    """The counters of one served revision."""

    requests: "Counter"
    errors: "Counter"
    latency: "Histogram"
    dropped: "Counter"
    model_name: str
    revision: str

    def observe(self, code: int, seconds: float) -> None:
        """Count one prediction request."""
        self.requests.labels(self.model_name, self.revision, code).inc()
        if code >= 400:
            self.errors.labels(self.model_name, self.revision, code).inc()
        self._latency.observe(seconds)

    @property
    def _latency(self) -> "Histogram":
        return self.latency.labels(self.model_name, self.revision)

    def drop(self, rows: int) -> None:
        """Count rows that the prediction log could not keep."""
        self.dropped.labels(self.model_name, self.revision).inc(rows)


def create(model_name: str, revision: str) -> Metrics:
    """Register the metrics; once per process."""
    from prometheus_client import Counter, Histogram

    labels = ("model_name", "revision")
    metrics = Metrics(
        Counter("model_requests_total", "Prediction requests by HTTP code.", (*labels, "code")),
        Counter(
            "model_request_errors_total", "Prediction requests answered with 4xx or 5xx.", (*labels, "code")
        ),
        Histogram("model_request_seconds", "Latency of prediction requests.", labels, buckets=BUCKETS),
        Counter("model_prediction_log_dropped_rows_total", "Rows the prediction log could not keep.", labels),
        model_name,
        revision,
    )
    # A counter that was never touched is absent, and absent looks like "not scraped".
    metrics.requests.labels(model_name, revision, 200)
    metrics.drop(0)
    return metrics
