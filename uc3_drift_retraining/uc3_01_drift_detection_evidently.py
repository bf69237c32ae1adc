"""UC3 step 1: hold what production saw against what the champion learned from.

Reads    the champion's snapshot, named by its tags; the prediction log since last time, or a table or parquet object
Writes   drift/<model>/: the report, which is also the position in the log, and Evidently's page; gauges; alerts;
         once a model, where uc3.replay names a table of moved customers: requests to the served model
Returns  DriftReport; without a window where there are too few new rows. Drift is no error
Raises   GateRefused (3) with that report, where uc3.fail_on_drift; StepFailed (1) without a champion; InvalidData (65)

Run it alone:  python uc3_drift_retraining/uc3_01_drift_detection_evidently.py
"""

from typing import TYPE_CHECKING, Any

from common.cli import main
from common.errors import GateRefused, StepFailed
from common.flags import Flag
from common.step import step
from common.tools import Tools
from uc3_drift_retraining.results import DriftReport

if TYPE_CHECKING:
    from common.registry import Version

FLAGS = (
    Flag("--current", "uc3.current", "WHAT", "compare this: log, a table, or the s3:// URI of a parquet object"),
    Flag("--reference", "uc3.reference", "WHAT", "with this: champion, a table, or the s3:// URI of a parquet object"),
    Flag("--fail-on-drift", "uc3.fail_on_drift", "BOOL", "true: end with exit 3 where there is drift"),
)


@step(
    needs=("mlflow", "minio", "kserve", "traffic", "postgres", "alerts"),
    settings=(
        "uc1.model_name", "uc1.namespace", "uc3.reference", "uc3.current", "uc3.columns", "uc3.min_rows", "uc3.limits",
        "uc3.drift_threshold", "uc3.high_drift_threshold", "uc3.fail_on_drift", "uc3.draw", "uc3.replay.table",
        "uc3.late_labels.query", "kserve.prediction_log_prefix",
    ),
    deadline_seconds=3600,
)  # fmt: skip
def run(tools: Tools) -> DriftReport:
    """Examine the new window, and once a model what moved customers make of it; tell, and refuse where asked to."""
    from uc3_drift_retraining import moved_customers, windows

    champion = champion_of(tools)
    moved_customers.note_found(tools)
    moved_customers.wait_until_quiet(tools)
    report = with_moved_customers(tools, champion, examined(tools, champion))
    if report.repeated:
        windows.note(tools, report, made=False)
    told(tools, report)
    refuse_drift_where_asked(tools, report)
    return report


def champion_of(tools: Tools) -> "Version":
    """Who is served, and what it learned from."""
    champion = tools.mlflow.champion(tools.settings.uc1.model_name)
    if champion is None:
        raise StepFailed(
            f"No version of {tools.settings.uc1.model_name} is champion, so there is nothing to compare with.",
            "Run UC1 first: python uc1_churn_prediction/run_pipeline.py",
        )
    return champion


def examined(tools: Tools, champion: "Version") -> DriftReport:
    """What is new, held against the reference; the last report again where nothing is, if it still is about today."""
    from uc3_drift_retraining import comparands, examine, moved_customers, windows

    if tools.settings.uc3.current != "log":
        report = examine.of_named(tools, champion)
        return report if report.repeated else finished(tools, champion, report)
    last = windows.newest(tools)
    repeated = windows.repeated(last, champion, comparands.rules_of(tools))
    # Under other rules the same rows are looked at again; a new champion begins with what is new.
    anew = last is not None and repeated is None and last.champion_digest == champion.digest
    after = last.after if last and anew else windows.position(tools)
    report = examine.of_log(tools, champion, after, until=moved_customers.unfinished(tools))
    return finished(tools, champion, report) if report.window else repeated or report


def with_moved_customers(tools: Tools, champion: "Version", report: DriftReport) -> DriftReport:
    """Where nothing has drifted and somebody is to be sent: what is found then."""
    from uc3_drift_retraining import moved_customers

    if report.has_drifted or not moved_customers.is_due(tools):
        return report
    return after_replay(tools, champion, report)


def after_replay(tools: Tools, champion: "Version", before: DriftReport) -> DriftReport:
    """Send the moved customers and examine what was logged since; what was found before is said in the report."""
    from uc3_drift_retraining import examine, moved_customers

    position = moved_customers.send(tools, champion)
    report = examine.of_log(tools, champion, position) if position is not None else None
    if report is None or not report.window:
        moved_customers.take_back(tools, champion)
        return before
    replay = tools.settings.uc3.replay
    said = f"{replay.rows:,} customers of table {replay.table}, as traffic: this model was not asked about them before"
    report = report.model_copy(update={"replayed": said, "before_replay": before.summary()})
    kept = finished(tools, champion, report)
    moved_customers.note(tools, kept)
    return kept


def finished(tools: Tools, champion: "Version", report: DriftReport) -> DriftReport:
    """Add what late labels say, and keep the report."""
    from uc3_drift_retraining import late_labels, windows

    if not report.window:
        return report
    return windows.keep(tools, report.model_copy(update={"performance": late_labels.performance(tools, champion)}))


def told(tools: Tools, report: DriftReport) -> None:
    """Gauges, and alerts where a rule holds."""
    if not report.window:
        return
    from uc3_drift_retraining import gauges
    from uc3_drift_retraining.telling import incident_of

    gauges.publish(tools, report)
    for alert in tools.alerts.check(incident_of(tools, report)):
        tools.context.effect("alert", alert.rule, severity=alert.severity, id=alert.id)


def refuse_drift_where_asked(tools: Tools, report: DriftReport) -> None:
    """Raise GateRefused, which carries the report."""
    if tools.settings.uc3.fail_on_drift and report.has_drifted:
        raise GateRefused(
            f"{report.share:.0%} of the columns have drifted, and uc3.fail_on_drift is set.",
            "Look at the report; uc3_02 answers drift by training again.", result=report,
        )  # fmt: skip


def observe(tools: Tools) -> dict[str, Any]:
    """Who is champion, what is new in the log (or which table or object there is), whether somebody is to be sent."""
    from uc3_drift_retraining import moved_customers, sources, windows

    uc1, current = tools.settings.uc1, tools.settings.uc3.current
    champion = tools.mlflow.champion(uc1.model_name)
    seen: dict[str, Any] = {"champion": champion.digest if champion else None, "replay": moved_customers.is_due(tools)}
    if "://" in current:
        return {**seen, "object": tools.minio.stat(tools.minio.key(current)).etag}
    if current != "log":
        return {**seen, "table": tools.postgres.watermark(current)}
    position = windows.position(tools)
    return {**seen, "log": (sources.prediction_log(tools).since(position) or (position,))[-1]}


if __name__ == "__main__":
    main(__file__)
