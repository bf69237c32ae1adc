"""A small table of subscribers that has nothing of the shipped one: other names, other types, a label in words."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ENTITY, LABEL, TIME = "Kunden-Nr", "gekündigt?", "Stichtag"
NUMERIC, CATEGORICAL = ("Alter", "select", "Umsatz €"), ("Tarif",)


def subscribers(rows: int = 1500, seed: int = 1) -> pd.DataFrame:
    """Subscribers whose label follows from two numbers and a tariff; ids are text, some values are missing."""
    random = np.random.default_rng(seed)
    age, used = random.integers(18, 90, rows), random.exponential(10, rows)
    tariff = random.choice(["klein", "mittel", "groß"], rows)
    chance = 1 / (1 + np.exp(2 - 0.15 * used + 0.03 * (age - 50) - 1.5 * (tariff == "klein")))
    spend = pd.Series(np.round(random.gamma(3, 20, rows), 2)).mask(random.random(rows) < 0.05)
    return pd.DataFrame(
        {
            ENTITY: [f"K{number:06}" for number in range(rows)],
            "Alter": age,
            "select": used,
            "Umsatz €": spend,
            "Tarif": pd.Series(tariff).mask(random.random(rows) < 0.05),
            TIME: pd.Timestamp("2026-03-01", tz="UTC") + pd.to_timedelta(random.integers(0, 10**6, rows), unit="s"),
            LABEL: np.where(random.random(rows) < chance, "Ja", "Nein"),
        }
    )


def write_snapshot(frame: pd.DataFrame, path: Path) -> Path:
    """As ingestion writes it: microseconds, no index."""
    table = pa.Table.from_pandas(frame.assign(**{TIME: frame[TIME].dt.as_unit("us")}), preserve_index=False)
    pq.write_table(table, path)
    return path
