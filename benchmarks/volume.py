"""Five million rows through UC1's first four steps: peak memory and time of each, on the embedded platform.

    python benchmarks/volume.py [--rows 5000000] [--until 04]

Makes a table with generate_series in the embedded PostgreSQL, runs each step as a process of its own, as a user would,
and samples the memory (RSS) of the process and its children. The table is dropped at the end.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from common.config import load_settings
from common.paths import ROOT

TABLE = "volume_benchmark"
STEPS = ("01", "02", "03", "04")
CREATE = f"""
DROP TABLE IF EXISTS {TABLE};
CREATE UNLOGGED TABLE {TABLE} AS
SELECT n AS id, (18 + n % 70)::int AS years, (n * 7919 % 120)::int AS months,
       round((random() * 90 + 5)::numeric, 2)::float8 AS spend, (n * 31 % 9)::int AS tickets,
       (n * 17 % 365)::int AS silent_days, (1 + n % 6)::int AS bought,
       (ARRAY['north', 'south', 'east', 'west'])[1 + n % 4] AS place,
       (ARRAY['monthly', 'yearly', 'two_year'])[1 + n * 13 % 3] AS plan,
       timestamptz '2025-01-01' + (n % 31536000) * interval '1 second' AS seen,
       (random() < 0.1 + 0.4 * ((n * 31 % 9) > 5)::int) AS gone
FROM generate_series(1::bigint, :rows) AS n;
ANALYZE {TABLE};
"""
CONFIG = f"""
uc1:
  table: {TABLE}
  raw_data_path: raw/volume.parquet
  model_name: volume-predictor
  entity: id
  label: gone
  positive_label: true
  event_time: seen
  numeric: [years, months, spend, tickets, silent_days, bought]
  categorical: [place, plan]
  expectations:
    required: [id, seen, gone]
    ranges: {{years: [18, 120], months: [0, 1200], spend: [0, null], tickets: [0, null]}}
    sets: {{plan: [monthly, yearly, two_year]}}
"""


def main() -> None:
    """Make the table, run the steps, print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--until", choices=STEPS, default="04")
    parser.add_argument("--keep", action="store_true", help="leave the table for another look")
    options = parser.parse_args()
    subprocess.run([sys.executable, "-m", "embedded", "up"], cwd=ROOT, check=True, capture_output=True, timeout=300)
    _sql(CREATE.replace(":rows", str(options.rows)))
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "volume.yaml"
        config.write_text(CONFIG)
        print(f"{options.rows:,} rows\n| step | seconds | peak MB |\n|---|---|---|")
        for step in STEPS[: STEPS.index(options.until) + 1]:
            script = next(ROOT.glob(f"uc1_churn_prediction/uc1_{step}_*.py"))
            seconds, peak = _measured([sys.executable, str(script), "--config", str(config), "-q"])
            print(f"| {script.stem} | {seconds:.0f} | {peak / 2**20:.0f} |", flush=True)
    if not options.keep:
        _sql(f"DROP TABLE {TABLE}")


def _measured(command: list[str]) -> tuple[float, int]:
    started, peak, done = time.monotonic(), 0, threading.Event()
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ})

    def watch() -> None:
        nonlocal peak
        parent = psutil.Process(process.pid)
        while not done.wait(0.1):
            peak = max(peak, _memory(parent))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    done.set()
    watcher.join()
    if code:
        sys.exit(f"{' '.join(command)} ended with {code}")
    return time.monotonic() - started, peak


def _memory(parent: psutil.Process) -> int:
    """Resident memory of a process and all its children."""
    total = 0
    try:
        for each in (parent, *parent.children(recursive=True)):
            total += each.memory_info().rss
    except psutil.Error:
        pass
    return total


def _sql(statements: str) -> None:
    import psycopg2

    postgres = load_settings().postgres
    connection = psycopg2.connect(
        host=postgres.host, port=postgres.port, dbname=postgres.database, user=postgres.user,
        password=postgres.password.get_secret_value(), connect_timeout=5,
    )  # fmt: skip
    with connection, connection.cursor() as cursor:
        cursor.execute(statements)
    connection.close()


if __name__ == "__main__":
    main()
