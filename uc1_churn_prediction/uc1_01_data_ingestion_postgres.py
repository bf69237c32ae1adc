"""UC1 step 1: take a snapshot of the source table.

Reads    the table (or query) that the configuration names, up to uc1.as_of, from PostgreSQL
Writes   raw/customers/<digest>.parquet, and a copy of it at uc1.raw_data_path, to object storage
Returns  RawCustomers
Raises   EmptyExtract (exit 65) for a table without rows, InvalidData (65) for a missing table or column

Always runs: only reading tells whether the table changed. Equal rows give the same digest, so that the steps after
it stay unchanged.

Run it alone:  python uc1_churn_prediction/uc1_01_data_ingestion_postgres.py
"""

from typing import TYPE_CHECKING

from common.step import step
from uc1_churn_prediction.results import ROW_NUMBER, Column, RawCustomers, source_digest

if TYPE_CHECKING:
    from common.tools import Tools


@step(
    needs=("postgres", "minio"),
    settings=("uc1.table", "uc1.query", "uc1.entity", "uc1.label", "uc1.event_time", "uc1.as_of", "uc1.dropped",
              "uc1.raw_data_path", "minio.bucket"),
    deadline_seconds=1800,
    always=True,
)  # fmt: skip
def run(tools: "Tools") -> RawCustomers:
    """Extract, publish by digest, and point at it."""
    from common import snapshot
    from common.source_tables import wanted_of

    uc1 = tools.settings.uc1
    wanted = wanted_of(uc1)
    taken = snapshot.take(tools.postgres, tools.minio, wanted, uc1.raw_data_path)
    tools.context.effect("object", taken.uri, taken.created, rows=taken.rows, digest=taken.digest)
    return RawCustomers(
        table=uc1.table or "query", uri=taken.uri, digest=taken.digest, sha256=taken.sha256, rows=taken.rows,
        size_bytes=taken.size_bytes, columns=tuple(Column(name=n, type=t) for n, t in taken.columns),
        entity=uc1.entity or ROW_NUMBER, label=str(uc1.label), event_time=uc1.event_time,
        source=source_digest(uc1),
    )  # fmt: skip


if __name__ == "__main__":
    from common.cli import main

    main(__file__)
