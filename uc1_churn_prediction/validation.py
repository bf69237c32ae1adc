"""Great Expectations at work: a suite held against a parquet file, and its Data Docs published.

An ephemeral context, nothing of it kept; no progress bars, no telemetry. Great Expectations reports results in an
order of its own, fails a run on any severity, and says in two shapes that it could not evaluate an expectation:
the answers here are in the suite's order, one Check each, and severity is left to the caller.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.keys import digest_of
from common.paths import state_dir
from uc1_churn_prediction.expectations import Expected
from uc1_churn_prediction.results import Check, RawCustomers

if TYPE_CHECKING:
    import pandas as pd

    from common.minio_client import ObjectStore

NAMED_IDS = 20


def validate(
    path: Path, raw: RawCustomers, suite: Sequence[Expected], made: datetime
) -> tuple[tuple[Check, ...], Path]:
    """Hold the snapshot against the suite. Returns the checks, in the suite's order, and the pages' directory.

    `made`, the time of the snapshot, stands in the pages in place of the clock's.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    frame = _frame(path, raw, suite)
    pages = state_dir() / "cache" / "data_docs" / _pages_name(raw, suite)
    pages.parent.mkdir(parents=True, exist_ok=True)
    for left in pages.parent.glob(".tmp-*"):  # of a killed run
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=pages.parent, prefix=".tmp-") as work:
        results = _evaluate(frame, raw, suite, Path(work), made)
        shutil.rmtree(pages, ignore_errors=True)
        Path(work, "pages").rename(pages)
    return tuple(_check(each, result, raw.entity) for each, result in zip(suite, results, strict=True)), pages


def publish(store: "ObjectStore", pages: Path) -> str:
    """Upload the pages unless they are there, their index last; returns the index's URI."""
    index = pages / "index.html"
    prefix = f"data-docs/{pages.name}"
    if not store.exists(f"{prefix}/{index.name}"):
        others = [path for path in sorted(pages.rglob("*")) if path.is_file() and path != index]
        for path in [*others, index]:
            store.put_file(f"{prefix}/{path.relative_to(pages).as_posix()}", path)
    return store.uri(f"{prefix}/{index.name}")


def _pages_name(raw: RawCustomers, suite: Sequence[Expected]) -> str:
    """Same data and same suite, same pages."""
    said = [[e.name, e.kind, e.column, e.severity, sorted((k, str(v)) for k, v in e.arguments.items())] for e in suite]
    return digest_of([raw.digest, said])[:16]


def _frame(path: Path, raw: RawCustomers, suite: Sequence[Expected]) -> "pd.DataFrame":
    """The columns that something is expected of, and the entity that names rows."""
    import pyarrow.parquet as pq

    known = {column.name for column in raw.columns}
    wanted = dict.fromkeys([raw.entity, *(each.column for each in suite)])
    return pq.read_table(path, columns=[name for name in wanted if name in known]).to_pandas()


def _evaluate(
    frame: "pd.DataFrame", raw: RawCustomers, suite: Sequence[Expected], work: Path, made: datetime
) -> list[dict[str, Any]]:
    """Run the suite and render the pages into work/pages. Returns one result for each expectation, in order."""
    import great_expectations as gx

    context = _context(work)
    asset = context.data_sources.add_pandas("snapshot").add_dataframe_asset(raw.table)
    batch = asset.add_batch_definition_whole_dataframe("all")
    held = context.suites.add(
        gx.ExpectationSuite(name=raw.table, expectations=[_built(e, i) for i, e in enumerate(suite)])
    )
    definition = gx.ValidationDefinition(name=raw.table, data=batch, suite=held)
    checkpoint = context.checkpoints.add(_checkpoint(context.validation_definitions.add(definition), frame, raw))
    run = gx.RunIdentifier(run_name=raw.digest[:12], run_time=made)
    ran = checkpoint.run(batch_parameters={"dataframe": frame}, run_id=run)
    (outcome,) = ran.run_results.values()
    found = {each["expectation_config"]["meta"]["place"]: each for each in (r.to_json_dict() for r in outcome.results)}
    return [found[place] for place in range(len(suite))]


def _context(work: Path) -> Any:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    context.add_data_docs_site("pages", {
        "class_name": "SiteBuilder", "show_how_to_buttons": False,
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(work / "pages")},
    })  # fmt: skip
    return context


def _built(expected: Expected, place: int) -> Any:
    import great_expectations.expectations as gxe

    column = {"column": expected.column} if expected.column else {}
    # The results come back in another order: the place finds them again.
    return getattr(gxe, expected.kind)(
        **column, **expected.arguments, severity=expected.severity, meta={"place": place}
    )


def _checkpoint(definition: Any, frame: "pd.DataFrame", raw: RawCustomers) -> Any:
    import great_expectations as gx
    from great_expectations.checkpoint import UpdateDataDocsAction

    result_format: dict[str, Any] = {"result_format": "COMPLETE", "partial_unexpected_count": NAMED_IDS}
    if raw.entity in frame:
        result_format["unexpected_index_column_names"] = [raw.entity]
    return gx.Checkpoint(
        name=raw.table, validation_definitions=[definition], result_format=result_format,
        actions=[UpdateDataDocsAction(name="pages", site_names=["pages"])],
    )  # fmt: skip


def _check(expected: Expected, answer: dict[str, Any], entity: str) -> Check:
    result, raised = answer["result"], _raised(answer["exception_info"])
    name = expected.name
    if raised:
        name = f"{name} (could not be evaluated: {raised})"
    elif not answer["success"] and result.get("observed_value") is not None:
        name = f"{name} (found {result['observed_value']})"
    rows = result.get("unexpected_index_list") or []
    return Check(
        name=name, column=expected.column, severity=expected.severity, success=bool(answer["success"]) and not raised,
        unexpected=result.get("unexpected_count") or 0,
        examples=tuple(_shown(row.get(entity)) for row in rows[:NAMED_IDS]),
    )  # fmt: skip


def _raised(info: dict[str, Any]) -> str:
    """The exception's message; flat in one shape of the answer, below a metric's name in the other."""
    if "raised_exception" in info:
        return str(info.get("exception_message") or "an exception") if info["raised_exception"] else ""
    messages = [str(each.get("exception_message")) for each in info.values() if isinstance(each, dict)]
    return next(iter(messages), "an exception")


def _shown(value: Any) -> str:
    # A whole number comes as a float where its column has nulls.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
