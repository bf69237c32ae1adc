"""Time and size of UC5's page as the hold-out grows: python benchmarks/fairness_page.py

Trains both models on 10,000 sample customers and analyses the given numbers of others, without any server.
"""

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from churn.features import FeatureColumns, as_features, as_labels
from churn.model import ALGORITHMS, fit, to_onnx
from common.config import load_settings
from embedded.sample_customers import USUAL, customers
from uc5_fairness_docs.analysis import analysed, judged
from uc5_fairness_docs.holdout import Holdout, grouped
from uc5_fairness_docs.page import fairness_page
from uc5_fairness_docs.subjects import Subject

TRAINED = 10_000
COLUMNS = FeatureColumns(
    ("age", "tenure_months", "monthly_spend", "support_tickets", "days_since_last_login", "products"),
    ("region", "contract"),
)


def main() -> None:
    settings = load_settings()
    tools: Any = SimpleNamespace(settings=settings)
    everybody = pd.DataFrame(customers(USUAL))
    everybody = pd.concat([everybody, everybody.head(TRAINED)], ignore_index=True)
    subjects = tuple(_subject(algorithm, everybody.head(TRAINED)) for algorithm in ALGORITHMS)
    for rows in (1_000, 10_000, 50_000):
        frame = everybody.head(TRAINED + rows)
        held = np.arange(len(frame)) >= TRAINED
        groupings, groups = grouped(tools, frame, held)
        labels = as_labels(frame["churned"], True)[held]
        holdout = Holdout(frame[held].reset_index(drop=True), labels, groups, groupings, TRAINED)
        began = time.perf_counter()
        verdicts = tuple(judged(settings, subject, holdout) for subject in subjects)
        page = fairness_page(analysed(settings, subjects, holdout, verdicts))
        print(f"{rows:>7,} rows: {time.perf_counter() - began:5.1f} s, page of {len(page.encode()) / 1e3:,.0f} kB")


def _subject(algorithm: str, frame: pd.DataFrame) -> Subject:
    model = fit(algorithm, as_features(frame, COLUMNS), as_labels(frame["churned"], True), COLUMNS, seed=42)
    version: Any = SimpleNamespace(version=algorithm, digest="", algorithm=algorithm, state="", tags={})
    return Subject(version, COLUMNS, 0.5, to_onnx(model, COLUMNS))


if __name__ == "__main__":
    main()
