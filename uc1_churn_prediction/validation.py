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
LISTED_ROWS = 200_000
LISTED_WRONG = 1_000
CELLS_AT_ONCE = 10_000_000  # values in a frame: at five million rows one column and the entity
COLUMNS_AT_ONCE = 20  # for each row that is wrong Great Expectations goes through the names of all columns


def validate(
    path: Path, raw: RawCustomers, suite: Sequence[Expected], made: datetime
) -> tuple[tuple[Check, ...], Path]:
    """Hold the snapshot against the suite. Returns the checks, in the suite's order, and the pages' directory.

    `made`, the time of the snapshot, stands in the pages in place of the clock's.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    pages = state_dir() / "cache" / "data_docs" / _pages_name(raw, suite)
    pages.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=pages.parent, prefix=".tmp-") as work:
        results = _evaluate(path, raw, suite, Path(work), made)
        shutil.rmtree(pages, ignore_errors=True)
        Path(work, "pages").rename(pages)
    return tuple(_check(each, result, raw) for each, result in zip(suite, results, strict=True)), pages


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


def _evaluate(
    path: Path, raw: RawCustomers, suite: Sequence[Expected], work: Path, made: datetime
) -> list[dict[str, Any]]:
    """Run the suite and render the pages into work/pages. Returns one result for each expectation, in order."""
    import great_expectations as gx

    context = _context(work)
    asset = context.data_sources.add_pandas("snapshot").add_dataframe_asset(raw.table)
    batch = asset.add_batch_definition_whole_dataframe("all")
    held = context.suites.add(
        gx.ExpectationSuite(name=raw.table, expectations=[_built(e, i) for i, e in enumerate(suite)])
    )
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=raw.table, data=batch, suite=held))
    found: dict[int, Any] = {}
    for names, places in column_groups(raw, suite):
        part = batch.get_batch({"dataframe": _frame(path, raw, names)})
        found |= _held(gx, part, [(place, suite[place]) for place in places], raw, names)
        batch_id = part.id
        del part  # before the next columns are read
    ordered = [found[place] for place in range(len(suite))]
    run = gx.RunIdentifier(run_name=raw.digest[:12], run_time=made)
    _render(context, definition, ordered, run, batch_id)
    return [result.to_json_dict() for result in ordered]


def column_groups(raw: RawCustomers, suite: Sequence[Expected]) -> "list[tuple[list[str], list[int]]]":
    """The suite in parts of a few columns each, as (columns, places in the suite), CELLS_AT_ONCE values at most.

    What is expected of the whole table, or of a column that is missing, comes with the first part.
    """
    known = [column.name for column in raw.columns]
    of_column = {name: [place for place, each in enumerate(suite) if each.column == name] for name in known}
    used = [name for name in known if of_column[name]]
    width = max(1, min(COLUMNS_AT_ONCE, CELLS_AT_ONCE // max(1, raw.rows) - 1))
    parts = [used[at : at + width] for at in range(0, len(used), width)] or [[]]
    others = [place for place, each in enumerate(suite) if each.column not in of_column]
    grouped = [(part, [place for name in part for place in of_column[name]]) for part in parts]
    return [(grouped[0][0], [*others, *grouped[0][1]]), *grouped[1:]]


def _frame(path: Path, raw: RawCustomers, names: Sequence[str]) -> "pd.DataFrame":
    """These columns, and the entity that names rows."""
    import pyarrow.parquet as pq

    known = {column.name for column in raw.columns}
    wanted = dict.fromkeys([raw.entity, *names])
    table = pq.read_table(path, columns=[name for name in wanted if name in known])
    frame = table.to_pandas(self_destruct=True, split_blocks=True)
    return frame if raw.has_entity else frame.assign(**{raw.entity: range(raw.rows)})


def _held(
    gx: Any, batch: Any, expected: Sequence[tuple[int, Expected]], raw: RawCustomers, names: Sequence[str]
) -> dict[int, Any]:
    """Hold one part of the columns against its part of the suite: results by place in the suite."""
    part = gx.ExpectationSuite(name=f"{raw.table} {names[:1]}", expectations=[_built(e, at) for at, e in expected])
    # COMPLETE lists every row that is wrong, on the page too; SUMMARY names the first ones.
    complete = raw.rows <= LISTED_ROWS
    result_format: dict[str, Any] = {"result_format": "COMPLETE" if complete else "SUMMARY",
                                     "partial_unexpected_count": NAMED_IDS}  # fmt: skip
    result_format |= {"unexpected_index_column_names": [raw.entity]} if raw.entity in _columns(raw) else {}
    validated = batch.validate(part, result_format=result_format)
    for result in validated.results:
        _summarize(result.result)
    return {result.expectation_config.meta["place"]: result for result in validated.results}


def _summarize(found: dict[str, Any]) -> None:
    """As SUMMARY has it, where more rows are wrong than anybody reads: the page of a wide table would take minutes."""
    if (found.get("unexpected_count") or 0) > LISTED_WRONG:
        for name in ("unexpected_list", "unexpected_index_list", "unexpected_index_query"):
            found.pop(name, None)


def _columns(raw: RawCustomers) -> set[str]:
    return {column.name for column in raw.columns} | (set() if raw.has_entity else {raw.entity})


def _render(context: Any, definition: Any, results: list[Any], run: Any, batch_id: str) -> None:
    """One page for the whole suite, made of the parts' results, where Great Expectations' own checkpoint puts it."""
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    good = sum(bool(result.success) for result in results)
    whole = ExpectationSuiteValidationResult(
        success=good == len(results), results=results, suite_name=definition.suite.name,
        statistics={
            "evaluated_expectations": len(results), "successful_expectations": good,
            "unsuccessful_expectations": len(results) - good, "success_percent": 100 * good / len(results),
        },
        meta={"run_id": run, "validation_time": run.run_time, "active_batch_definition": {}, "batch_spec": {}},
    )  # fmt: skip
    suite = ExpectationSuiteIdentifier(name=definition.suite.name)
    place = ValidationResultIdentifier(suite, run, batch_id)
    context.validation_results_store.store_validation_results(
        suite_validation_result=whole, suite_validation_result_identifier=place, expectation_suite_identifier=suite
    )
    context.build_data_docs(site_names=["pages"])


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


def _check(expected: Expected, answer: dict[str, Any], raw: RawCustomers) -> Check:
    result, raised = answer["result"], _raised(answer["exception_info"])
    name = expected.name
    if raised:
        name = f"{name} (could not be evaluated: {raised})"
    elif not answer["success"] and result.get("observed_value") is not None:
        name = f"{name} (found {_listed(result['observed_value'])})"
    rows = result.get("unexpected_index_list") or result.get("partial_unexpected_index_list") or []
    return Check(
        name=name, column=expected.column, severity=expected.severity, success=bool(answer["success"]) and not raised,
        unexpected=result.get("unexpected_count") or 0,
        examples=tuple(_shown(row.get(raw.entity)) for row in rows[:NAMED_IDS]),
    )  # fmt: skip


def _listed(observed: Any) -> str:
    if isinstance(observed, list) and len(observed) > NAMED_IDS:
        return f"{observed[:NAMED_IDS]} and {len(observed) - NAMED_IDS:,} more"
    return str(observed)


def _raised(info: dict[str, Any]) -> str:
    """The exception's message; flat in one shape of the answer, below a metric's name in the other."""
    if "raised_exception" in info:
        return str(info.get("exception_message") or "an exception") if info["raised_exception"] else ""
    messages = [str(each.get("exception_message")) for each in info.values() if isinstance(each, dict)]
    return next(iter(messages), "an exception")


def _shown(value: Any) -> str:
    # A whole number comes as a float where its column has nulls.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
