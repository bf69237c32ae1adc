"""A model card in Model Card Toolkit's schema v0.0.2, from facts: what has no source is left out, never invented.

The schema has no place for verdicts, drift and approvals; it allows further keys inside its objects, and so they are
`model_details.governance`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SCHEMA_VERSION = "0.0.2"


@dataclass(frozen=True)
class Interval:
    """Two ends, how they were computed, and how often such an interval holds the truth: 0.95."""

    low: float
    high: float
    method: str
    level: float


@dataclass(frozen=True)
class Metric:
    """A measured number, on everybody or on a slice such as "age: under 30".

    A difference between groups has its limit, and what the gate makes of it: "holds", "open" or "broken".
    """

    name: str
    value: float
    interval: Interval | None = None
    slice: str = ""
    limit: float | None = None
    state: str = ""


@dataclass(frozen=True)
class Picture:
    """A plot as base64 of PNG."""

    name: str
    base64: str


@dataclass(frozen=True)
class Data:
    """What the model learned from, and what it was measured on."""

    name: str
    uri: str
    digest: str
    trained_rows: int
    holdout_rows: int
    sensitive: tuple[str, ...]
    commit: str = ""


@dataclass(frozen=True)
class Texts:
    """What only people know; see uc5.card."""

    overview: str = ""
    documentation: str = ""
    owners: tuple[tuple[str, str], ...] = ()
    license: str = ""
    users: tuple[str, ...] = ()
    use_cases: tuple[str, ...] = ()
    limitations: tuple[str, ...] = ()
    tradeoffs: tuple[str, ...] = ()
    risks: tuple[tuple[str, str], ...] = ()
    references: tuple[str, ...] = ()
    citation: str = ""


@dataclass(frozen=True)
class Facts:
    """Everything that is known of one registered version. `date` is that of its training, YYYY-MM-DD."""

    name: str
    version: str
    digest: str
    path: str
    algorithm: str
    date: str
    replaced: str
    parameters: Mapping[str, str]
    inputs: Sequence[tuple[str, str]]
    threshold: float
    label: str
    data: Data
    metrics: Sequence[Metric]
    governance: Mapping[str, str]
    pictures: Sequence[Picture] = ()
    texts: Texts = field(default_factory=Texts)


def card(facts: Facts) -> dict[str, Any]:
    """The card as JSON-able data, valid for the schema."""
    made: dict[str, Any] = _without_empty({
        "schema_version": SCHEMA_VERSION,
        "model_details": _details(facts),
        "model_parameters": _parameters(facts),
        "quantitative_analysis": {
            "performance_metrics": [_metric(each) for each in facts.metrics],
            "graphics": {
                "description": "On the hold-out" if facts.pictures else "",
                "collection": [{"name": each.name, "image": each.base64} for each in facts.pictures],
            },
        },
        "considerations": _considerations(facts.texts),
    })  # fmt: skip
    return made


def _details(facts: Facts) -> dict[str, Any]:
    texts = facts.texts
    return {
        "name": facts.name, "overview": texts.overview, "documentation": texts.documentation,
        "owners": [{"name": name, "contact": contact} for name, contact in texts.owners],
        "version": {"name": facts.version, "date": facts.date, "diff": facts.replaced},
        "licenses": [{"identifier": texts.license}] if texts.license else [],
        "references": [{"reference": each} for each in texts.references],
        "citations": [{"citation": texts.citation}] if texts.citation else [],
        "path": facts.path, "digest": facts.digest, "governance": dict(facts.governance),
    }  # fmt: skip


def _parameters(facts: Facts) -> dict[str, Any]:
    data = facts.data
    described = (
        f"{data.trained_rows:,} rows to train on, {data.holdout_rows:,} kept back; content digest {data.digest}"
        + (f"; DVC commit {data.commit}" if data.commit else "")
    )  # fmt: skip
    trained = [{"key": f"trained with {name}", "value": value} for name, value in facts.parameters.items()]
    return {
        "model_architecture": facts.algorithm.replace("_", " "),
        "data": [{
            "name": data.name, "link": data.uri, "description": described,
            "sensitive": {"sensitive_data": list(data.sensitive)},
        }],
        "input_format": "ONNX, one input a column, shape (rows, 1)",
        "input_format_map": [{"key": name, "value": kind} for name, kind in facts.inputs],
        "output_format": f"Probability of {facts.label}; it counts as yes from {facts.threshold:g} on",
        "output_format_map": [{"key": "label", "value": "0 or 1"}, {"key": "probabilities", "value": "no, yes"}],
        "training_parameters": trained,
    }  # fmt: skip


def _metric(metric: Metric) -> dict[str, Any]:
    ends = metric.interval and {
        "lower_bound": f"{metric.interval.low:.6f}", "upper_bound": f"{metric.interval.high:.6f}",
        "method": metric.interval.method, "level": f"{metric.interval.level:g}",
    }  # fmt: skip
    return {
        "type": metric.name, "value": f"{metric.value:.6f}", "slice": metric.slice, "confidence_interval": ends,
        "limit": "" if metric.limit is None else f"{metric.limit:g}", "state": metric.state,
    }  # fmt: skip


def _considerations(texts: Texts) -> dict[str, Any]:
    def described(values: tuple[str, ...]) -> list[dict[str, str]]:
        return [{"description": value} for value in values]

    return {
        "users": described(texts.users), "use_cases": described(texts.use_cases),
        "limitations": described(texts.limitations), "tradeoffs": described(texts.tradeoffs),
        "ethical_considerations": [{"name": name, "mitigation_strategy": done} for name, done in texts.risks],
    }  # fmt: skip


def _without_empty(value: Any) -> Any:
    """The value without what is empty, at any depth."""
    if isinstance(value, dict):
        kept = {name: _without_empty(each) for name, each in value.items()}
        return {name: each for name, each in kept.items() if each not in (None, "", [], {})}
    return [_without_empty(each) for each in value] if isinstance(value, list) else value


EXPECTED = {
    "overview": ("model_details", "overview"), "documentation": ("model_details", "documentation"),
    "owners": ("model_details", "owners"), "date": ("model_details", "version", "date"),
    "licence": ("model_details", "licenses"), "references": ("model_details", "references"),
    "citation": ("model_details", "citations"), "quality gate": ("model_details", "governance", "quality gate"),
    "fairness gate": ("model_details", "governance", "fairness gate"),
    "drift": ("model_details", "governance", "drift"), "approval": ("model_details", "governance", "approved by"),
    "training parameters": ("model_parameters", "training_parameters"),
    "data": ("model_parameters", "data"), "metrics": ("quantitative_analysis", "performance_metrics"),
    "plots": ("quantitative_analysis", "graphics", "collection"), "users": ("considerations", "users"),
    "use cases": ("considerations", "use_cases"), "limitations": ("considerations", "limitations"),
    "tradeoffs": ("considerations", "tradeoffs"), "risks": ("considerations", "ethical_considerations"),
}  # fmt: skip
"""What a reader looks for, and where it is in the card."""


def missing(made: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields that a reader looks for and that have no source."""
    return tuple(name for name, path in EXPECTED.items() if not _at(made, path))


def filled(made: Any) -> int:
    """How many values the card has, plots and all."""
    if isinstance(made, Mapping):
        return sum(filled(each) for each in made.values())
    return sum(filled(each) for each in made) if isinstance(made, list) else 1


def _at(made: Any, path: Sequence[str]) -> Any:
    for name in path:
        made = made.get(name) if isinstance(made, Mapping) else None
    return made
