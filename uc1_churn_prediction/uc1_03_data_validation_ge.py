"""UC1 step 3: hold the snapshot against the expectations.

Reads    the snapshot of RawCustomers, from object storage
Writes   Great Expectations' Data Docs, to data-docs/<digest>/ in object storage (and to the state directory)
Returns  ValidCustomers
Raises   InvalidData (exit 65) naming each broken critical expectation and its rows, after Data Docs are out

Run it alone:  python uc1_churn_prediction/uc1_03_data_validation_ge.py
"""

from typing import TYPE_CHECKING, Any

from common.errors import InvalidData
from common.logger import get_logger
from common.step import step
from uc1_churn_prediction.results import ROW_NUMBER, Check, RawCustomers, ValidCustomers

if TYPE_CHECKING:
    from pathlib import Path

    from common.tools import Tools

log = get_logger(__name__)
SHOWN_IDS = 5
LABELS = 1000


@step(
    needs=("minio",),
    settings=("uc1.expectations", "uc1.numeric", "uc1.categorical", "uc1.sensitive", "uc1.positive_label",
              "uc1.as_of", "uc1.ordered", "uc1.dropped", "minio.bucket"),
    deadline_seconds=1800,
)  # fmt: skip
def run(tools: "Tools", raw: RawCustomers) -> ValidCustomers:
    """Validate, publish what was found, and only then refuse."""
    from common import snapshot
    from uc1_churn_prediction.expectations import suite_of
    from uc1_churn_prediction.leaks import leak_checks
    from uc1_churn_prediction.validation import publish, validate

    made = tools.minio.stat(tools.minio.key(raw.uri)).modified
    path = snapshot.fetch(tools.minio, raw.uri, raw.sha256)
    suite = suite_of(tools.settings.uc1, raw, made, label_values(path, raw))
    checks, pages = validate(path, raw, suite, made)
    uri = publish(tools.minio, pages)
    tools.context.effect("object", uri)
    checks += leak_checks(path, raw, tools.settings.uc1)
    _refuse_broken(checks, raw, uri)
    return ValidCustomers(raw=raw, checks=checks, data_docs=uri)


def label_values(path: "Path", raw: RawCustomers) -> "list[Any]":
    """The label's distinct values, as pandas has them; none where the column is missing."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if raw.label not in {column.name for column in raw.columns}:
        return []
    values = pc.unique(pq.read_table(path, columns=[raw.label]).column(0))
    return [value for value in values[:LABELS].to_pylist() if value is not None]


def _refuse_broken(checks: tuple[Check, ...], raw: RawCustomers, uri: str) -> None:
    broken = [check for check in checks if not check.success]
    for check in broken:
        log.warning("expectation broken", severity=check.severity, column=check.column, expected=check.name,
                    rows=check.unexpected, examples=list(check.examples))  # fmt: skip
    critical = [_sentence(check, raw.entity) for check in broken if check.severity == "critical"]
    if critical:
        count = f"{len(critical)} critical expectation{'s do' if len(critical) > 1 else ' does'} not hold"
        raise InvalidData(f"{count} of {raw.table}: {'; '.join(critical)}.", f"Data Docs: {uri}")


def _sentence(check: Check, entity: str) -> str:
    what = f"column {check.column} {check.name}" if check.column else check.name
    if not check.unexpected:
        return what
    ids = ", ".join(check.examples[:SHOWN_IDS]) + (", ..." if check.unexpected > SHOWN_IDS else "")
    return f"{what} ({check.unexpected:,} rows" + (
        f": {entity.replace('_', ' ') if entity == ROW_NUMBER else entity} {ids})" if check.examples else ")"
    )


if __name__ == "__main__":
    from common.cli import main

    main(__file__)
