"""Ingest beside a raw COPY to nowhere and beside pandas: time ratios and peak memory, as a Markdown table.

A table like `customers` (12 columns: whole and real numbers, numeric, text, date, timestamp, boolean) is made in a
schema of its own and dropped afterwards. Every figure is a whole process, imports included; methods take turns, so
that a busy machine disturbs them alike; the median round counts. The yardstick is one connection that copies the
table, binary, to /dev/null.

Run it:  python benchmarks/ingest.py --rows 1000000 5000000 --rounds 3      (the platform must be up)
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common.config import load_settings
from common.postgres import Postgres, Source

METHODS = {"copy": "raw binary `COPY` to nowhere", "ours": "ingest (ADBC to parquet, digest included)",
           "pandas": "`pandas.read_sql` to parquet"}  # fmt: skip
SCHEMA = "bench_ingest"
TABLE = """
CREATE UNLOGGED TABLE {table} AS SELECT
  g AS customer_id, (array['female', 'male', 'other'])[1 + g % 3] AS gender, (18 + g % 70)::int AS age,
  (array['north', 'south', 'east', 'west'])[1 + (g * 7) % 4] AS region,
  (array['monthly', 'yearly'])[1 + g % 2] AS contract, (g % 72)::int AS tenure_months,
  ((g * 7919) % 20000 / 100.0)::numeric(10, 2) AS monthly_spend, ((g * 104729) % 1000000) / 997.0::float8 AS hours,
  (g % 9)::int AS support_tickets, timestamptz '2024-01-01' + (g % 600) * interval '1 hour' AS observed_at,
  date '2020-01-01' + (g % 1500)::int AS joined, (g * 31) % 10 < 3 AS churned
FROM generate_series(1::bigint, {rows}) g
"""


def main() -> None:
    """Make the tables, measure, print, clean up."""
    options = _options()
    if options.one:
        return _one(*options.one)
    postgres = Postgres(load_settings().postgres)
    _execute(postgres, f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE", f"CREATE SCHEMA {SCHEMA}")
    try:
        for rows in options.rows:
            _execute(postgres, TABLE.format(table=f"{SCHEMA}.t{rows}", rows=rows), f"VACUUM ANALYZE {SCHEMA}.t{rows}")
            print(_table(rows, _measured(rows, options.rounds, options.without)), flush=True)
    finally:
        _execute(postgres, f"DROP SCHEMA {SCHEMA} CASCADE")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 5_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without", nargs="*", default=[], choices=METHODS, help="methods to leave out")
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "TABLE"), help=argparse.SUPPRESS)
    return parser.parse_args()


def _execute(postgres: Postgres, *statements: str) -> None:
    with postgres.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.exec_driver_sql(statement.replace("%", "%%"))


def _measured(rows: int, rounds: int, without: list[str]) -> dict[str, list[tuple[float, float, float]]]:
    """(wall seconds, CPU seconds, peak MB) of each round, by method."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in METHODS if name not in without}
    for _ in range(rounds):
        for name, rounds_of_it in found.items():
            rounds_of_it.append(_process(name, f"{SCHEMA}.t{rows}"))
    return found


def _process(method: str, table: str) -> tuple[float, float, float]:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.monotonic()
    child = subprocess.Popen([sys.executable, __file__, "--one", method, table], env=env, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, f"{method} ended with {child.returncode}"
    return time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def _table(rows: int, found: dict[str, list[tuple[float, float, float]]]) -> str:
    lines = ["", "| rows | method | seconds | times COPY | client CPU s | peak MB |", "|---|---|---|---|---|---|"]
    yardstick = statistics.median(wall for wall, _, _ in found["copy"])
    for name, rounds in found.items():
        wall, cpu = (statistics.median(each[place] for each in rounds) for place in (0, 1))
        peak = max(each[2] for each in rounds)
        lines.append(f"| {rows:,} | {METHODS[name]} | {wall:.2f} | {wall / yardstick:.2f} | {cpu:.2f} | {peak:.0f} |")
    return "\n".join(lines)


def _one(method: str, table: str) -> None:
    postgres = Postgres(load_settings().postgres)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "out.parquet"
        {"copy": _copy, "ours": _ours, "pandas": _pandas}[method](postgres, table, path)


def _copy(postgres: Postgres, table: str, _: Path) -> None:
    import psycopg2

    null = Path(os.devnull).open("wb")  # noqa: SIM115 - closed with the process
    with psycopg2.connect(postgres.dsn()) as connection, connection.cursor() as cursor:
        cursor.copy_expert(f"COPY {table} TO STDOUT (FORMAT binary)", null)


def _ours(postgres: Postgres, table: str, path: Path) -> None:
    from common import extract

    extract.run(postgres, extract.Wanted(Source(table=table)), path)


def _pandas(postgres: Postgres, table: str, path: Path) -> None:
    import pandas as pd

    pd.read_sql(f"SELECT * FROM {table}", postgres.engine).to_parquet(path)


if __name__ == "__main__":
    main()
