"""The Iter8 Experiment and its Metrics as data, in v2alpha2, the last version that was released: pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common.canary_forms import KNATIVE
from common.settings import without_credentials
from common.settings_uc2 import Iter8, Objectives

Document = dict[str, Any]
API_VERSION = "iter8.tools/v2alpha2"
STATE_NOTE = "mlops/rollout"
REQUEST_COUNT, ERROR_RATE, LATENCY_P95 = "request-count", "error-rate", "latency-p95"
EXCESS_DISAGREEMENT, CONVERSION = "excess-disagreement", "conversion"
FIELD_PATHS = {"Standard": ".spec.canary[0].trafficPercent", KNATIVE: ".spec.predictor.canaryTrafficPercent"}
# Iter8 fills in the version's name, its variables, and the seconds since the experiment started.
LABELS = 'namespace="$namespace",model_name="$service",revision="$name"'
WINDOW = "[${elapsedTime}s]"
REQUESTS = f"sum(increase(model_requests_total{{{LABELS}}}{WINDOW}))"
ERRORS = f'sum(increase(model_requests_total{{{LABELS},code=~"5.."}}{WINDOW}))'
BUCKETS = f"sum(increase(model_request_seconds_bucket{{{LABELS}}}{WINDOW})) by (le)"
# A spec without a query would make Iter8's analytics service fail as a whole.
COMPUTED = " No server exports it: the monitor computes it, and writes it into the experiment's status."


@dataclass(frozen=True)
class ExperimentPlan:
    """One candidate against one champion. `form` is the canary's, "Standard" or "Knative"."""

    name: str
    namespace: str
    service: str
    baseline: str
    candidate: str
    objectives: Objectives
    form: str
    reward: bool = False
    largest_step: int = 100
    """Percent that the candidate's weight may grow by at once."""
    disagreement: bool = True
    """Whether decisions are compared at all; what nobody measures is no objective."""
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def target(self) -> str:
        """What only one experiment at a time may be about."""
        return f"{self.namespace}/{self.service}"


def objective_names(iter8: Iter8, *, disagreement: bool = True) -> tuple[str, ...]:
    """Metrics that are objectives, in order. An Iter8 controller could not read the disagreement: never a winner."""
    names = (ERROR_RATE, LATENCY_P95)
    return (*names, EXCESS_DISAGREEMENT) if disagreement and not iter8.decides else names


def experiment(plan: ExperimentPlan, iter8: Iter8) -> Document:
    """The Experiment."""
    # Iter8 allows a reward in A/B only, and wants one there.
    pattern = "A/B" if _is_rewarded(plan, iter8) else "Canary"
    weights = {"maxCandidateWeight": 100, "maxCandidateWeightIncrement": plan.largest_step}
    return {
        "apiVersion": API_VERSION, "kind": "Experiment",
        "metadata": {"name": plan.name, "namespace": plan.namespace, "annotations": dict(plan.notes)},
        "spec": {
            "target": plan.target,
            "strategy": {"testingPattern": pattern, "deploymentPattern": "Progressive", "weights": weights},
            "criteria": _criteria(plan, iter8),
            "duration": {
                "intervalSeconds": max(1, round(iter8.interval_seconds)),
                "iterationsPerLoop": iter8.iterations_per_loop, "maxLoops": iter8.max_loops,
            },
            "versionInfo": {
                "baseline": _version(plan, plan.baseline),
                "candidates": [_version(plan, plan.candidate) | {"weightObjRef": _weight_reference(plan)}],
            },
        },
    }  # fmt: skip


def _criteria(plan: ExperimentPlan, iter8: Iter8) -> Document:
    limits = {ERROR_RATE: plan.objectives.error_rate, LATENCY_P95: plan.objectives.latency_p95_ms}
    if plan.disagreement:
        limits[EXCESS_DISAGREEMENT] = plan.objectives.excess_disagreement
    judged = objective_names(iter8, disagreement=plan.disagreement)
    criteria: Document = {
        "requestCount": REQUEST_COUNT,
        "indicators": [name for name in limits if name not in judged],
        "objectives": [{"metric": name, "upperLimit": quantity(limits[name])} for name in judged],
    }
    if _is_rewarded(plan, iter8):
        criteria["rewards"] = [{"metric": CONVERSION, "preferredDirection": "High"}]
    return criteria


def _is_rewarded(plan: ExperimentPlan, iter8: Iter8) -> bool:
    """An Iter8 controller cannot read the reward either, and would wait for it in vain."""
    return plan.reward and not iter8.decides


def _version(plan: ExperimentPlan, name: str) -> Document:
    """A version with what the queries of the metrics are filled in with."""
    variables = {"namespace": plan.namespace, "service": plan.service}
    return {"name": name, "variables": [{"name": key, "value": value} for key, value in variables.items()]}


def _weight_reference(plan: ExperimentPlan) -> Document:
    return {
        "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "name": plan.service,
        "namespace": plan.namespace, "fieldPath": FIELD_PATHS[plan.form],
    }  # fmt: skip


def metrics(plan: ExperimentPlan, prometheus_url: str) -> list[Document]:
    """The Metrics that the criteria name: the same for all services of the namespace."""
    found = [
        _metric(plan, prometheus_url, REQUEST_COUNT, f"{REQUESTS} or on() vector(0)",
                type="Counter", description="Prediction requests."),
        _metric(plan, prometheus_url, ERROR_RATE, f"({ERRORS} or on() vector(0)) / {REQUESTS}",
                description="Share of prediction requests that were answered with 5xx."),
        _metric(plan, prometheus_url, LATENCY_P95, f"1000 * histogram_quantile(0.95, {BUCKETS})",
                description="95 of 100 prediction requests are answered within so long.", units="milliseconds"),
    ]  # fmt: skip
    if plan.disagreement:
        said = "Share of decisions other than the champion's, beyond that on the hold-out." + COMPUTED
        query = f"max(model_excess_disagreement{{{LABELS}}})"
        found.append(_metric(plan, prometheus_url, EXCESS_DISAGREEMENT, query, description=said))
    if plan.reward:
        said = "Share of users who converted." + COMPUTED
        found.append(_metric(plan, prometheus_url, CONVERSION, f"max(model_conversion{{{LABELS}}})", description=said))
    return found


def _metric(plan: ExperimentPlan, prometheus_url: str, name: str, query: str, **more: str) -> Document:
    url = without_credentials(prometheus_url).rstrip("/")  # whoever may look at Metrics would read them
    spec: Document = {
        "type": "Gauge", "provider": "prometheus", "urlTemplate": f"{url}/api/v1/query",
        "params": [{"name": "query", "value": query}], "jqExpression": ".data.result[0].value[1] | tonumber", **more,
    }  # fmt: skip
    if name != REQUEST_COUNT:
        spec["sampleSize"] = REQUEST_COUNT
    metadata = {"name": name, "namespace": plan.namespace}
    return {"apiVersion": API_VERSION, "kind": "Metric", "metadata": metadata, "spec": spec}


def quantity(value: float) -> str:
    """A number as a Kubernetes Quantity: the CRD refuses a plain fraction."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
