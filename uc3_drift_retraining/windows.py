"""Which requests have been examined: reports kept in object storage, the newest of which is the position in the log.

So the position survives the ledger and this machine. drift/<model>/log/<last object examined>.json sorts by time.
"""

from typing import TYPE_CHECKING

from pydantic import ValidationError

from common.minio_errors import NoSuchObject
from common.registry import Version
from uc3_drift_retraining.results import DriftReport

if TYPE_CHECKING:
    from common.tools import Tools

DRIFTED = "drifted.json"  # a copy of the newest report with drift


def place(tools: "Tools") -> str:
    """The prefix of everything that UC3 keeps of a model."""
    return f"drift/{tools.settings.uc1.model_name}"


def newest(tools: "Tools") -> DriftReport | None:
    """The report of the last window of the log that was examined; None where this code cannot read it."""
    at = position(tools)
    return _read(tools, f"{place(tools)}/log/{at}.json") if at else None


def position(tools: "Tools") -> str:
    """The last object of the log that was examined; "" at first."""
    keys = [each.key for each in tools.minio.list(f"{place(tools)}/log/")]
    return max(keys).rsplit("/", 1)[1].removesuffix(".json") if keys else ""


def known(tools: "Tools", window: str) -> DriftReport | None:
    """The report of a window that is no part of the log: a table or an object of some content."""
    try:
        return _read(tools, f"{place(tools)}/other/{window}.json")
    except NoSuchObject:
        return None


def keep(tools: "Tools", report: DriftReport) -> DriftReport:
    """Write the report down; for the log, this moves the position. Last of all: until then it was not examined."""
    name = f"log/{report.until}" if report.until else f"other/{report.window}"
    key = f"{place(tools)}/{name}.json"
    kept = report.model_copy(update={"uri": tools.minio.uri(key)})
    if kept.has_drifted:
        tools.minio.put_json(f"{place(tools)}/{DRIFTED}", kept.model_dump(mode="json"))
    tools.minio.put_json(key, kept.model_dump(mode="json"))
    note(tools, kept, made=True)
    return kept


def note(tools: "Tools", report: DriftReport, made: bool) -> None:
    """Note that the report was kept; one that was found, where whoever kept it was killed before it could."""
    facts = {"share": report.share, "rows": report.rows, "champion": report.champion}
    tools.context.effect("object", report.uri, made, **facts)


def to_answer(tools: "Tools", report: DriftReport) -> DriftReport:
    """The newest window that drifted away from this champion: looking is hourly, and answering may be once a day."""
    if report.has_drifted:
        return report
    try:
        last = _read(tools, f"{place(tools)}/{DRIFTED}")
    except NoSuchObject:
        return report
    is_about_today = last and (last.champion_digest, last.rules) == (report.champion_digest, report.rules)
    return last if last and is_about_today else report


def repeated(report: DriftReport | None, champion: Version, rules: str) -> DriftReport | None:
    """An earlier report, where it still is about this champion under these rules."""
    if report is None or (report.champion_digest, report.rules) != (champion.digest, rules):
        return None
    return report.model_copy(update={"repeated": True})


def _read(tools: "Tools", key: str) -> DriftReport | None:
    try:
        return DriftReport.model_validate(tools.minio.get_json(key))
    except ValidationError:  # another version of this code wrote it: its position counts, what it found does not
        return None
