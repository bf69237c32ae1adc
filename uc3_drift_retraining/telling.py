"""What an alert about a window says, and the numbers that rules may name."""

from typing import TYPE_CHECKING

from common.alerts import Incident
from uc3_drift_retraining.results import DriftReport

if TYPE_CHECKING:
    from common.tools import Tools


def incident_of(tools: "Tools", report: DriftReport) -> Incident:
    """The window as an incident; `roc_auc_drop` is how much lower the metric surely is, 0 where that is unsure."""
    facts = {
        "drift_share": report.share, "drift_threshold": report.threshold, "high_drift_threshold": report.high_threshold,
        "drifted_columns": float(len(report.drifted)), "rows": float(report.rows),
        "tolerated_drop": tools.settings.uc3.late_labels.tolerated_drop,
    }  # fmt: skip
    if report.performance:
        facts["roc_auc_drop"] = max(0.0, -report.performance.high)
    return Incident(report.model_name, report.window, report.summary(), facts, link=report.page or report.uri)
