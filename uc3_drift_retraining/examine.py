"""Holds a window of data against the reference: counts all rows of both, judges, draws, and keeps the report."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from churn.adwin import changes
from churn.drift import judged
from churn.findings import ColumnDrift, share_of
from churn.histograms import Bins, Histogram
from common.keys import digest_of
from common.registry import Version
from uc3_drift_retraining import sources, windows
from uc3_drift_retraining.comparands import (
    columns_of,
    limits_of,
    reference_of,
    refuse_nothing_in_common,
    refuse_texts_for_numbers,
    rules_of,
)
from uc3_drift_retraining.counting import bins_of, count
from uc3_drift_retraining.results import DriftReport
from uc3_drift_retraining.streams import Columns, Sampler, Stream, schema_of

if TYPE_CHECKING:
    import pyarrow as pa

    from common.tools import Tools


STREAM_ROWS = 10_000  # of a window that ADWIN looks at


@dataclass(frozen=True)
class Side:
    """A stream after one pass over it."""

    stream: Stream
    histograms: dict[str, Histogram | None]
    sample: "pa.Table"
    rows: int


def of_log(tools: "Tools", champion: Version, after: str, until: str | None = None) -> DriftReport:
    """The requests since that object of the log (up to another); a report without a window where they are too few."""
    uc3, prediction_log = tools.settings.uc3, sources.prediction_log(tools)
    names = tuple(name for name in prediction_log.since(after) if until is None or name <= until)
    rows = sources.answered_rows(prediction_log, names, uc3.min_rows)
    if rows < uc3.min_rows:
        return unexamined(tools, champion, rows)
    stream = sources.logged(prediction_log, names)
    report = of_stream(tools, champion, stream)
    return replace_window(report, after, names[-1])


def of_named(tools: "Tools", champion: Version) -> DriftReport:
    """The table or object that the configuration names; what was examined before is not examined again."""
    stream = sources.named(tools, tools.settings.uc3.current)
    window = window_of(champion, stream)
    earlier = windows.repeated(windows.known(tools, window), champion, rules_of(tools))
    return earlier or of_stream(tools, champion, stream)


def of_stream(tools: "Tools", champion: Version, stream: Stream) -> DriftReport:
    """Count, judge and draw."""
    columns = columns_of(tools, champion)
    reference = reference_of(tools, champion)
    refuse_nothing_in_common(columns, reference)
    refuse_texts_for_numbers(columns, reference, stream)
    bins = bins_of(reference, columns)
    ours, theirs = counted(tools, reference, bins, columns), counted(tools, stream, bins, columns)
    if theirs.rows < tools.settings.uc3.min_rows:
        return unexamined(tools, champion, theirs.rows)
    found = judged(present(ours, columns), theirs.histograms, limits_of(tools)) + new_columns(tools, stream, reference)
    report = report_of(tools, champion, ours, theirs, found)
    return drawn(tools, report, columns, ours, theirs)


def counted(tools: "Tools", stream: Stream, bins: dict[str, Bins | None], columns: Columns) -> Side:
    """One pass: histograms of all rows, and a sample of them."""
    sampler = Sampler(tools.settings.uc3.evidently_rows)
    histograms = count(stream, bins, columns, sampler)
    return Side(stream, histograms, sampler.table(schema_of(stream, columns)), sampler.rows)


def present(side: Side, columns: Columns) -> dict[str, Histogram | None]:
    """The reference's histograms; a column that it does not have at all cannot drift."""
    return {name: side.histograms[name] for name in columns.names if name in side.stream.columns}


def new_columns(tools: "Tools", stream: Stream, reference: Stream) -> tuple[ColumnDrift, ...]:
    """Columns of a table or object that the reference does not have: said, and counted for nothing."""
    if tools.settings.uc3.current == "log":
        return ()
    new = sorted(stream.columns - reference.columns)
    return tuple(ColumnDrift(name, "", False, method="presence", finding="is new") for name in new)


def window_of(champion: Version, stream: Stream) -> str:
    """The name of a window: which rows, held against which champion."""
    return digest_of([champion.digest, stream.identity])[:16]


def unexamined(tools: "Tools", champion: Version, rows: int) -> DriftReport:
    """Too few rows to say anything."""
    uc3 = tools.settings.uc3
    return DriftReport(
        model_name=champion.name, champion=champion.version, champion_digest=champion.digest, reference=uc3.reference,
        current=uc3.current, rules=rules_of(tools), needed_rows=uc3.min_rows, waiting_rows=rows,
    )  # fmt: skip


def report_of(
    tools: "Tools", champion: Version, ours: Side, theirs: Side, found: tuple[ColumnDrift, ...]
) -> DriftReport:
    """What was found, as a result."""
    uc3 = tools.settings.uc3
    return DriftReport(
        model_name=champion.name, champion=champion.version, champion_digest=champion.digest,
        reference=ours.stream.name, current=current_place(tools, theirs.stream), rules=rules_of(tools),
        window=window_of(champion, theirs.stream), reference_rows=ours.rows, rows=theirs.rows, columns=found,
        share=share_of(found), threshold=uc3.drift_threshold, high_threshold=uc3.high_drift_threshold,
        changes=stream_changes(theirs),
    )  # fmt: skip


def current_place(tools: "Tools", stream: Stream) -> str:
    """Where the current rows are: for the log the folder, which is what lineage knows it by."""
    if tools.settings.uc3.current != "log":
        return stream.name
    return tools.minio.uri(sources.prediction_log(tools).prefix) + "/"


def replace_window(report: DriftReport, after: str, until: str) -> DriftReport:
    """The part of the log that was examined."""
    return report.model_copy(update={"after": after, "until": until})


def stream_changes(side: Side) -> tuple[str, ...]:
    """Where in the window a numeric column's mean changed, by ADWIN over the sampled rows in their order."""
    import pyarrow as pa

    said = []
    step = max(1, side.sample.num_rows // STREAM_ROWS)
    for field in side.sample.schema:
        if not pa.types.is_floating(field.type):
            continue
        values = [value for value in side.sample.column(field.name).to_pylist()[::step] if value is not None]
        scale = max(map(abs, values), default=0.0)  # ADWIN's bound is for numbers up to 1
        positions = changes(value / scale for value in values) if scale else []
        said += [f"{field.name} by row {side.rows * at // len(values):,} of {side.rows:,}" for at in positions[:1]]
    return tuple(said)


def drawn(tools: "Tools", report: DriftReport, columns: Columns, ours: Side, theirs: Side) -> DriftReport:
    """Let Evidently draw its page, where it is wanted, and publish it."""
    if tools.settings.uc3.draw == "drifted" and not report.drifted:
        return report
    from uc3_drift_retraining.evidently_page import page_of

    page = page_of(ours.sample, theirs.sample, columns, limits_of(tools), report.threshold)
    if page is None:
        return report
    uri = tools.minio.put_bytes(f"{windows.place(tools)}/pages/{report.window}.html", page, "text/html")
    return report.model_copy(update={"page": uri, "page_rows": tools.settings.uc3.evidently_rows})
