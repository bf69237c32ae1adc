"""Late labels: the log is larger than memory, and only predictions whose outcome is known are kept of it."""

from collections.abc import Iterable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from common.model_versions import Version
from uc3_drift_retraining import late_labels, sources

CHAMPION = Version("m", "1", "r", {"digest": "ours"})
NAMES = tuple(f"object-{number:04}" for number in range(200))
ROWS = 50
SINCE = datetime(2026, 1, 1, tzinfo=UTC)


class Log:
    """200 objects of 50 predictions each, by two models."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def since(self, after: str) -> tuple[str, ...]:
        assert after == "20260101T000000"
        return NAMES

    def rows(self, names: Iterable[str], columns: Iterable[str]) -> pa.Table:
        ids = [f"{name}:{number}" for name in names for number in range(ROWS)]
        self.read += [*names]
        size = len(ids)
        return pa.table(
            {
                "request_id": ids, "digest": ["ours", "another"] * (size // 2), "prediction": [0.25] * size,
                "golden": [False] * size, "status": pa.array([200] * size, pa.int16()),
            }
        ).select(list(columns))  # fmt: skip


def known_of(monkeypatch: pytest.MonkeyPatch, log: Log, *known: str) -> tuple[pd.DataFrame, int]:
    """What is found beside these outcomes, and how many rows were held at the end."""
    held: list[int] = []
    concat = pa.concat_tables

    def counted(tables: list[pa.Table], **said: Any) -> pa.Table:
        held.append(sum(table.num_rows for table in tables))
        return concat(tables, **said)

    monkeypatch.setattr(pa, "concat_tables", counted)
    monkeypatch.setattr(sources, "prediction_log", lambda _: log)
    labels = pd.DataFrame({"request_id": [*known], "label": [True] * len(known)}, dtype="object")
    monkeypatch.setattr(late_labels, "outcomes", lambda *_: labels)
    tools: Any = SimpleNamespace()
    return late_labels.answered_with_outcome(tools, CHAMPION, SINCE), sum(held)


def test_only_the_champions_answers_whose_outcome_is_known_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    log, known = Log(), ("object-0000:0", "object-0000:1", "object-0199:48", "never asked")
    found, held = known_of(monkeypatch, log, *known)
    assert found["request_id"].tolist() == ["object-0000:0", "object-0199:48"]
    assert found["prediction"].tolist() == [0.25, 0.25]
    assert log.read == [*NAMES]
    assert held == 2


def test_without_outcomes_the_log_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    found, _ = known_of(monkeypatch, log)
    assert len(found) == 0
    assert log.read == []
