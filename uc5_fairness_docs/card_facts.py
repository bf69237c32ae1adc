"""Facts for the card, each from where it was left: registry tags, MLflow's run, DVC's commits, the analysis, config."""

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from common.logger import get_logger
from common.minio_errors import NoSuchObject
from common.stored import json_object, model_schema
from uc5_fairness_docs.results import FairnessReport

if TYPE_CHECKING:
    from churn.model_card import Data, Facts, Metric, Picture, Texts
    from common.mlflow_runs import RunFacts
    from common.model_versions import Version
    from common.settings_uc5 import Card
    from common.tools import Tools

log = get_logger(__name__)
BOOTSTRAP, WILSON, NEWCOMBE = "percentile bootstrap", "Wilson", "Newcombe, corrected for all pairs of the column"
NAMES = {"roc.png": "ROC curve", "calibration.png": "Calibration", "confusion_matrix.png": "Confusion matrix",
         "importance.png": "What the model looks at"}  # fmt: skip


def facts(tools: "Tools", version: "Version", report: FairnessReport) -> "Facts":
    """Everything that is known of the version."""
    from churn.model_card import Facts

    store = tools.minio
    run = tools.mlflow.run_facts(version.run_id)
    schema = model_schema(store, version.uri, version.digest)
    analysis = json_object(store, report.data, "models", "slices", "rows", "trained_rows", "threshold", "confidence")
    kinds = dict.fromkeys(schema.numeric, "numeric") | dict.fromkeys(schema.categorical, "categorical")
    return Facts(
        name=version.name, version=version.version, digest=version.digest, path=f"{version.uri}/model.onnx",
        algorithm=version.algorithm, date=run.started_utc.date().isoformat(), replaced=replaced(tools, version),
        parameters=run.parameters, threshold=schema.threshold, label=tools.settings.uc1.label or "",
        inputs=[(name, "float32" if kind == "numeric" else "string") for name, kind in kinds.items()],
        data=data(tools, version, analysis), metrics=[*overall(version, run), *sliced(analysis), *gaps(report)],
        governance=governance(version, report), pictures=pictures(tools, version, report),
        texts=texts(tools.settings.uc5.card),
    )  # fmt: skip


def replaced(tools: "Tools", version: "Version") -> str:
    """What changed from the version that it replaced; empty where it replaced none."""
    before = [each for each in tools.mlflow.versions(version.name) if each.tags.get("retired_by") == version.version]
    if not before:
        return ""
    old = max(before, key=lambda each: each.number)
    was, now = old.metrics.get("roc_auc"), version.metrics.get("roc_auc")
    measured = f"; ROC AUC {was:.3f} before, {now:.3f} now, each on its own hold-out" if was and now else ""
    return f"replaces v{old.version} ({old.algorithm.replace('_', ' ')}){measured}"


def data(tools: "Tools", version: "Version", analysis: dict[str, Any]) -> "Data":
    """The snapshot that it learned from."""
    from churn.model_card import Data

    uc1, digest = tools.settings.uc1, version.tags.get("data_digest", "")
    return Data(
        name=uc1.table or "the configured query", uri=version.tags["data_uri"], digest=digest,
        trained_rows=analysis["trained_rows"], holdout_rows=analysis["rows"], sensitive=uc1.sensitive,
        commit=commit(tools, digest),
    )  # fmt: skip


def commit(tools: "Tools", digest: str) -> str:
    """The data repository's commit of this content; empty where there is none, or no repository."""
    return tools.dvc.commit_of(digest) if digest and tools.settings.dvc.git_url else ""


def overall(version: "Version", run: "RunFacts") -> "list[Metric]":
    """Hold-out metrics of the whole, as training measured them, with the intervals that it noted."""
    from churn.evaluation import LEVEL
    from churn.model_card import Interval, Metric

    known = run.metrics

    def interval(name: str) -> Interval | None:
        ends = known.get(f"{name}_low"), known.get(f"{name}_high")
        return None if None in ends else Interval(known[f"{name}_low"], known[f"{name}_high"], BOOTSTRAP, LEVEL)

    return [
        Metric(name, value, interval(name))
        for name, value in sorted(version.metrics.items(), key=lambda each: (each[0] != "roc_auc", each[0]))
    ]  # fmt: skip


def sliced(analysis: dict[str, Any]) -> "list[Metric]":
    """ROC AUC and rates of each group of each sensitive column, at the model's threshold."""
    model = analysis["models"][0]
    columns = [name for name, crossed in analysis["slices"].items() if len(crossed) == 1]
    return [
        metric
        for column in columns
        for group in model["slices"][column]
        for metric in of_group(analysis, group, f"{column}: {group['name']}")
    ]


def of_group(analysis: dict[str, Any], group: dict[str, Any], name: str) -> "list[Metric]":
    """The numbers of one group."""
    from churn.model_card import Interval, Metric
    from churn.sliced import counts_at

    counts, level = counts_at(group, analysis["threshold"]), analysis["confidence"]
    rates = ("selection_rate", "true_positive_rate", "false_positive_rate", "accuracy")
    found = [
        Metric(rate, counts.rate(rate), Interval(*counts.interval(rate, level), WILSON, level), name)
        for rate in rates
        if counts.of(rate)[1]
    ]
    area = group.get("roc_auc")
    return [*([Metric("roc_auc", area[0], Interval(area[1], area[2], BOOTSTRAP, level), name)] if area else []), *found]


def gaps(report: FairnessReport) -> "list[Metric]":
    """The largest differences between groups."""
    from churn.model_card import Interval, Metric

    return [
        Metric(
            f"{each.criterion}_difference", each.value, Interval(each.low, each.high, NEWCOMBE, each.level),
            f"by {each.column}", each.limit, each.state,
        )
        for each in report.differences
    ]  # fmt: skip


def governance(version: "Version", report: FairnessReport) -> dict[str, str]:
    """What gates, monitors and people said of this version: of tags, and only where they are about these bytes."""
    tags = version.tags
    approved = tags.get("approved_by", "") if tags.get("approved_digest", version.digest) == version.digest else ""
    if approved and tags.get("approved_for"):
        approved = f"{approved} for {tags['approved_for']}"
    share, drifted = tags.get("drift_share", ""), tags.get("drift_report", "")
    return {
        "state": version.state, "quality gate": version.gate, "fairness gate": report.champion.verdict,
        "fairness notes": "; ".join(report.champion.notes),
        "promoted because": tags.get("promoted_because", ""), "approved by": approved,
        "drift": f"made in answer to drift in a share of {share} of the columns" if share else "",
        "drift report": drifted,
        "fairness page": report.page,
    }  # fmt: skip


def pictures(tools: "Tools", version: "Version", report: FairnessReport) -> "list[Picture]":
    """The plots of the training's evaluation, from its run, and that of the groups."""
    from churn.model_card import Picture

    found = tools.mlflow.artifacts(version.run_id, tuple(NAMES))
    kept = [Picture(NAMES[name], b64encode(found[name]).decode()) for name in NAMES if name in found]
    try:
        groups = tools.minio.get_bytes(tools.minio.key(report.picture))
    except NoSuchObject:
        log.warning("the picture of the groups is gone", uri=report.picture)
        return kept
    return [*kept, Picture("Groups side by side", b64encode(groups).decode())]


def texts(card: "Card") -> "Texts":
    """What people wrote into the configuration."""
    from churn.model_card import Texts

    return Texts(
        **card.model_dump(exclude={"owners", "risks"}),
        owners=tuple((each.name, each.contact) for each in card.owners),
        risks=tuple((each.name, each.mitigation) for each in card.risks),
    )
