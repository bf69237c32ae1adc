"""What a window showed, as gauges for Prometheus: a file for the node exporter to collect, and a Pushgateway."""

from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from common.logger import get_logger
from common.paths import state_dir
from common.settings import without_credentials
from uc3_drift_retraining.results import DriftReport

if TYPE_CHECKING:
    from common.tools import Tools

log = get_logger(__name__)
PUSH_SECONDS = 5


def publish(tools: "Tools", report: DriftReport) -> None:
    """Write metrics/drift-<model>.prom in the state directory, and push where a Pushgateway is named.

    Nobody's drift goes unseen because a gauge could not be pushed: that is said in the log, and no more.
    """
    import prometheus_client

    registry = registry_of(report)
    place = state_dir() / "metrics" / f"drift-{report.model_name}.prom"
    place.parent.mkdir(parents=True, exist_ok=True)
    prometheus_client.write_to_textfile(str(place), registry)
    url = tools.settings.uc3.pushgateway_url
    if not url:
        return
    try:
        prometheus_client.push_to_gateway(
            without_credentials(url), job="drift", registry=registry, grouping_key={"model": report.model_name},
            timeout=PUSH_SECONDS, handler=_login(url),
        )  # fmt: skip
    except (OSError, HTTPException, ValueError) as error:
        log.warning("the gauges could not be pushed", gateway=without_credentials(url), cause=str(error))


def _login(url: str) -> Any:
    """How the client sends: urllib takes no user and password in a URL."""
    from prometheus_client.exposition import basic_auth_handler, default_handler

    parts = urlsplit(url)
    if not parts.username:
        return default_handler

    def send(url: str, method: str, timeout: float | None, headers: Any, data: bytes) -> Any:
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return basic_auth_handler(url, method, timeout, headers, data, user, password)

    return send


def registry_of(report: DriftReport) -> Any:
    """The gauges; labels are the model and, for columns, the column."""
    from prometheus_client import CollectorRegistry, Gauge

    registry = CollectorRegistry()

    def gauge(name: str, says: str, labels: tuple[str, ...] = ()) -> Any:
        return Gauge(f"mlops_drift_{name}", says, ("model", *labels), registry=registry)

    model = report.model_name
    gauge("share", "Share of columns that have drifted").labels(model).set(report.share)
    gauge("threshold", "Share above which the model is retrained").labels(model).set(report.threshold)
    gauge("rows", "Rows of the window").labels(model).set(report.rows)
    psi = gauge("psi", "Population stability index", ("column",))
    drifted = gauge("drifted", "1 where the column has drifted", ("column",))
    for column in report.columns:
        drifted.labels(model, column.name).set(column.drifted)
        if column.psi is not None:
            psi.labels(model, column.name).set(column.psi)
    if report.performance:
        after = gauge("late_metric", "A metric on late labels", ("metric",))
        after.labels(model, report.performance.metric).set(report.performance.after)
    return registry
