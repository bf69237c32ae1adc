"""Drift of millions of rows beside a plain scan and beside Evidently: time ratios and peak memory, as a Markdown table.

A parquet object of 9 columns (7 numbers, some with nulls, and 2 texts), one of which has moved, is written to the
platform's S3 and dropped afterwards. Every figure is a process of its own, timed inside, without imports; methods take
turns; the median round counts. The yardstick reads every batch of every column and does nothing with it.

Run it:  python benchmarks/drift.py --rows 1000000 10000000 --rounds 3      (the platform must be up)
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from churn.drift import judged
from churn.findings import Limits
from common.config import load_settings
from common.tools import Tools
from uc3_drift_retraining import sources
from uc3_drift_retraining.counting import bins_of, count
from uc3_drift_retraining.streams import Columns, Sampler, sample_of

METHODS = {
    "scan": "scan: read every batch", "ours": "ours: PSI, KL, JS, KS, chi-square of all rows, and a sample",
    "sample": "Evidently on a sample of 100,000 rows", "full": "Evidently on all rows",
}  # fmt: skip
MOST_FOR_EVIDENTLY = 1_000_000
NUMBERS = tuple(f"n{number}" for number in range(7))
TEXTS = ("t0", "t1")
COLUMNS = Columns(NUMBERS, TEXTS)
PREFIX = "bench/drift"
ROWS_AT_ONCE = 500_000
SAMPLED = 100_000


def main() -> None:
    """Make the objects, measure, print, clean up."""
    options = _options()
    tools = Tools(load_settings())
    if options.one:
        print(json.dumps(_one(tools, *options.one)))
        return
    tools.minio.ensure_bucket()
    made = [_make(tools, rows, moved) for rows in options.rows for moved in (False, True)]
    try:
        for rows in options.rows:
            print(_table(rows, _measured(rows, options.rounds)), flush=True)
    finally:
        for key in made:
            tools.minio.delete(key)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "ROWS"), help=argparse.SUPPRESS)
    return parser.parse_args()


def _key(rows: int, moved: bool) -> str:
    return f"{PREFIX}/{rows}-{'moved' if moved else 'usual'}.parquet"


def _make(tools: Tools, rows: int, moved: bool) -> str:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "rows.parquet"
        random, writer = np.random.default_rng(int(moved)), None
        for start in range(0, rows, ROWS_AT_ONCE):
            part = _part(random, min(ROWS_AT_ONCE, rows - start), moved)
            writer = writer or pq.ParquetWriter(path, part.schema, compression="zstd")
            writer.write_table(part)
        assert writer is not None
        writer.close()
        tools.minio.put_file(_key(rows, moved), path)
    return _key(rows, moved)


def _part(random: Any, rows: int, moved: bool) -> pa.Table:
    """Normal, skewed and whole numbers; the first column is the one that has moved."""
    columns: dict[str, Any] = {
        "n0": random.normal(0.6 if moved else 0, 1, rows), "n1": random.normal(0, 1, rows),
        "n2": random.lognormal(3, 0.5, rows), "n3": random.lognormal(3, 2, rows),
        "n4": random.integers(18, 90, rows).astype(float), "n5": random.poisson(3, rows).astype(float),
        "n6": np.where(random.random(rows) < 0.05, np.nan, random.exponential(20, rows)),
    }  # fmt: skip
    return pa.table({**columns, "t0": random.choice(["a", "b", "c", "d"], rows), "t1": random.choice(["x", "y"], rows)})


def _measured(rows: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    chosen = [name for name in METHODS if name != "full" or rows <= MOST_FOR_EVIDENTLY]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
    for number in range(rounds):
        for name in chosen if number == 0 else [each for each in chosen if each != "full"]:  # which takes a minute
            command = [sys.executable, __file__, "--one", name, str(rows)]
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=3600)
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    return found


def _one(tools: Tools, method: str, rows: str) -> dict[str, float]:
    work: dict[str, Callable[[Tools, int], dict[str, float]]] = {
        "scan": _scan, "ours": _ours, "sample": _sampled, "full": _full,
    }  # fmt: skip
    said = work[method](tools, int(rows))
    return {**said, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _scan(tools: Tools, rows: int) -> dict[str, float]:
    started = time.perf_counter()
    stream = sources.parquet(tools, tools.minio.uri(_key(rows, True)))
    assert sum(batch.num_rows for batch in stream.batches()) == rows
    return {"seconds": time.perf_counter() - started}


def _ours(tools: Tools, rows: int) -> dict[str, float]:
    reference = sources.parquet(tools, tools.minio.uri(_key(rows, False)))
    started = time.perf_counter()
    bins = bins_of(reference, COLUMNS)
    ours = count(reference, bins, COLUMNS)
    prepared = time.perf_counter() - started
    started = time.perf_counter()
    current = sources.parquet(tools, tools.minio.uri(_key(rows, True)))
    theirs = count(current, bins, COLUMNS, Sampler(10_000))
    found = judged(ours, theirs, Limits())
    seconds = time.perf_counter() - started
    assert [column.name for column in found if column.drifted] == ["n0"]
    return {"seconds": seconds, "reference_seconds": prepared, "psi": found[0].psi or 0.0}


def _sampled(tools: Tools, rows: int) -> dict[str, float]:
    _evidently_imported()
    started = time.perf_counter()
    streams = [sources.parquet(tools, tools.minio.uri(_key(rows, moved))) for moved in (False, True)]
    return _drawn([sample_of(stream, COLUMNS, SAMPLED) for stream in streams], started)


def _full(tools: Tools, rows: int) -> dict[str, float]:
    _evidently_imported()
    started = time.perf_counter()
    streams = [sources.parquet(tools, tools.minio.uri(_key(rows, moved))) for moved in (False, True)]
    return _drawn([pa.Table.from_batches(stream.batches()) for stream in streams], started)


def _evidently_imported() -> None:
    warnings.simplefilter("ignore")
    import evidently.presets  # noqa: F401


def _drawn(sides: list[pa.Table], started: float) -> dict[str, float]:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    roles = DataDefinition(numerical_columns=list(NUMBERS), categorical_columns=list(TEXTS))
    usual, moved = (Dataset.from_pandas(side.to_pandas(), data_definition=roles) for side in sides)
    preset = DataDriftPreset(num_method="psi", num_threshold=0.2, cat_method="psi", cat_threshold=0.2)
    said = Report([preset]).run(reference_data=usual, current_data=moved).dict()
    psi = next(each["value"] for each in said["metrics"] if each["config"].get("column") == "n0")
    return {"seconds": time.perf_counter() - started, "psi": float(psi)}


def _table(rows: int, found: dict[str, list[dict[str, float]]]) -> str:
    medians = {name: statistics.median(each["seconds"] for each in rounds) for name, rounds in found.items()}
    lines = [
        "| rows | method | seconds | times scan | peak MB | PSI of the moved column |",
        "|---|---|---|---|---|---|",
    ]
    for name, rounds in found.items():
        peak, psi = max(each["mb"] for each in rounds), rounds[0].get("psi")
        times = medians[name] / medians["scan"]
        said = "" if psi is None else f"{psi:.4f}"
        lines.append(f"| {rows:,} | {METHODS[name]} | {medians[name]:.2f} | {times:.2f} | {peak:.0f} | {said} |")
    prepared = statistics.median(each["reference_seconds"] for each in found["ours"])
    return "\n".join(
        [*lines, f"Ours, first of all, the reference (a sample for the bins, then a count): {prepared:.2f} s"]
    )


if __name__ == "__main__":
    main()
