"""How the report shows UC1's results: sections made of nothing but what the results say."""

import json
import shlex
from typing import TYPE_CHECKING

from common.paths import state_dir
from common.step import Section, Table

if TYPE_CHECKING:
    from uc1_churn_prediction.results import (
        Check,
        CustomerFeatures,
        DataVersion,
        ModelVersion,
        RawCustomers,
        ServedModel,
        TrainedModels,
        ValidCustomers,
    )

METRICS = ("roc_auc", "pr_auc", "brier", "log_loss", "accuracy", "f1")
PICTURES = {
    "roc.png": "ROC curve on the hold-out",
    "calibration.png": "Calibration on the hold-out",
    "confusion_matrix.png": "Confusion matrix at the threshold",
    "importance.png": "What the model looks at",
}


def snapshot(raw: "RawCustomers") -> Section:
    """Where the snapshot lies and what is in it."""
    facts = (
        ("source", raw.table), ("rows", f"{raw.rows:,}"), ("size", f"{raw.size_bytes / 1e6:.1f} MB"),
        ("object", raw.uri), ("digest of its content", raw.digest), ("SHA-256 of the file", raw.sha256),
        ("entity, label, time", f"{raw.shown_entity}, {raw.label}, {raw.event_time or 'none'}"),
    )  # fmt: skip
    columns = Table(columns=("column", "type"), rows=tuple((column.name, column.type) for column in raw.columns))
    return Section(title="Snapshot", facts=facts, table=columns)


def version(made: "DataVersion") -> Section:
    """The commit, and how somebody else gets the same bytes."""
    facts = (
        ("commit", made.commit), ("path", made.path), ("MD5", made.md5), ("DVC's remote", made.remote),
        ("get it", f"git clone {made.repository} data && cd data && git checkout {made.commit[:12]} && dvc pull"),
    )  # fmt: skip
    return Section(title="Version", facts=facts)


def checks(valid: "ValidCustomers") -> Section:
    """Every expectation, the broken ones first."""
    ordered = sorted(valid.checks, key=lambda check: (check.success, check.severity != "critical", check.column))
    rows = tuple(_check(check) for check in ordered)
    columns = ("holds", "severity", "column", "expectation", "rows against it", "for example")
    return Section(title="Expectations", text=f"{valid.summary()}.", table=Table(columns=columns, rows=rows))


def _check(check: "Check") -> tuple[str, ...]:
    said = "yes" if check.success else "NO"
    return (said, check.severity, check.column, check.name, f"{check.unexpected:,}", ", ".join(check.examples[:5]))


def data_docs(uri: str) -> str:
    """The local copy of Data Docs that were published at `uri`."""
    return str(state_dir() / "cache" / "data_docs" / uri.split("/")[-2] / "index.html")


def features(made: "CustomerFeatures") -> Section:
    """The feature view and where its values are."""
    facts = (
        ("feature view", made.view), ("feature service", made.service), ("offline", made.uri),
        ("online", f"{made.online_rows:,} entities"), ("numeric", ", ".join(made.numeric)),
        ("categorical", ", ".join(made.categorical)),
    )  # fmt: skip
    left_out = Table(columns=("column", "why it is no feature"), rows=made.left_out) if made.left_out else None
    said = "Inferred from the columns' values: uc1.numeric and uc1.categorical are empty." if made.inferred else ""
    return Section(title="Features", text=said, facts=facts, table=left_out)


def models(trained: "TrainedModels") -> tuple[Section, ...]:
    """The versions side by side, then the pictures of each."""
    names = [name for name in METRICS if any(name in version.metrics for version in trained.versions)]
    rows = tuple(_measured(version, names) for version in trained.versions)
    table = Table(columns=("version", "algorithm", "registered as", "gate", *names), rows=rows)
    facts = (
        ("champion after training", f"v{trained.champion}"),
        ("pipeline", trained.pipeline_uri),
        ("run", trained.pipeline_run),
    )
    overview = Section(title="Champion and challenger, on the hold-out", table=table, facts=facts)
    pictured = [version for version in trained.versions if version.pictures]
    return (overview, *(_pictures(f"v{v.version} {v.algorithm}", v.pictures) for v in pictured))


def _measured(version: "ModelVersion", names: list[str]) -> tuple[str, ...]:
    measured = (f"{version.metrics.get(name, float('nan')):.4f}" for name in names)
    return (f"v{version.version}", version.algorithm, version.state, version.gate, *measured)


def _pictures(title: str, folder: str) -> Section:
    return Section(title=title, pictures=tuple((caption, f"{folder}/{file}") for file, caption in PICTURES.items()))


def service(served: "ServedModel") -> Section:
    """What is served where, and that it gives the trained model's own answers."""
    facts = (
        ("model", f"{served.model_name} v{served.version}"), ("digest", served.digest), ("storage", served.uri),
        ("service", f"{served.namespace}/{served.model_name} at {served.url}"), ("runtime", served.runtime),
        ("golden predictions", f"{served.golden_rows} asked, largest difference {served.max_difference:.1e}"),
        ("try it", curl(served)),
    )  # fmt: skip
    return Section(title="Service, at deployment", facts=facts)


def left_to_the_canary(served: "ServedModel") -> Section:
    """What was not done, and who ends it."""
    facts = (
        ("champion in the registry", f"{served.model_name} v{served.version}" if served.version else "none"),
        ("service", f"{served.namespace}/{served.model_name} at {served.url}"),
        ("golden predictions", "not asked: a canary answers too, and may be bad on purpose"),
    )  # fmt: skip
    text = "A canary or an experiment was on the service: nothing was deployed. UC2 ends it; the next run looks again."
    return Section(title="Service, left to the canary", text=text, facts=facts)


def curl(served: "ServedModel") -> str:
    """A line for a shell that asks the model about one of its golden rows."""
    body = json.dumps({"instances": [json.loads(served.example)]})
    address = f"{served.url}/v1/models/{served.model_name}:predict"
    return f"curl -s -H 'Content-Type: application/json' -d {shlex.quote(body)} {address}"
