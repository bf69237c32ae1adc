"""What /metrics tells beyond KServe's own four histograms: requests, errors by code, and latency from 0.5 ms on."""

from typing import Any

# Seconds. A prediction takes about one millisecond, so KServe's own buckets, from 5 ms, show nothing.
BUCKETS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5)


class Metrics:
    """The counters of one served revision. The children of labels are kept: to look one up costs more than to count."""

    def __init__(self, model_name: str, revision: str) -> None:
        from prometheus_client import Counter, Histogram

        self._labels = (model_name, revision)
        labels = ("model_name", "revision")
        self._requests = Counter("model_requests", "Prediction requests by HTTP code.", (*labels, "code"))
        errors = "Prediction requests answered with 4xx or 5xx."
        self._errors = Counter("model_request_errors", errors, (*labels, "code"))
        latency = Histogram("model_request_seconds", "Latency of prediction requests.", labels, buckets=BUCKETS)
        self._latency = latency.labels(*self._labels)
        dropped = Counter("model_prediction_log_dropped_rows", "Rows the prediction log could not keep.", labels)
        self._dropped = dropped.labels(*self._labels)
        self._by_code: dict[int, tuple[Any, ...]] = {}
        self._counters(200)  # a counter that was never touched is absent, and absent looks like "not scraped"

    def observe(self, code: int, seconds: float) -> None:
        """Count one prediction request."""
        for counter in self._counters(code):
            counter.inc()
        self._latency.observe(seconds)

    def _counters(self, code: int) -> tuple[Any, ...]:
        if code not in self._by_code:
            counters = (self._requests, self._errors) if code >= 400 else (self._requests,)
            self._by_code[code] = tuple(each.labels(*self._labels, code) for each in counters)
        return self._by_code[code]

    def drop(self, rows: int) -> None:
        """Count rows that the prediction log could not keep."""
        self._dropped.inc(rows)
