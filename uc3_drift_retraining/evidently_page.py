"""Evidently's report of a sample, as a page that needs nothing from anywhere: it draws, our numbers decide."""

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from churn.findings import Limits
from uc3_drift_retraining.streams import Columns

if TYPE_CHECKING:
    import pyarrow as pa


def page_of(reference: "pa.Table", current: "pa.Table", columns: Columns, limits: Limits, share: float) -> bytes | None:
    """The page; None where no column has a value on both sides. Methods are named: PSI for numbers and for texts."""
    numeric = [name for name in columns.numeric if _is_drawable(reference, current, name)]
    categorical = [name for name in columns.categorical if _is_drawable(reference, current, name)]
    if not numeric + categorical:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own libraries: nothing that a reader could mend
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        roles = DataDefinition(numerical_columns=numeric, categorical_columns=categorical)
        wanted = [*numeric, *categorical]
        sides = [
            Dataset.from_pandas(each.select(wanted).to_pandas(), data_definition=roles) for each in (reference, current)
        ]
        preset = DataDriftPreset(
            columns=wanted, drift_share=share, num_method="psi", num_threshold=limits.psi, cat_method="psi",
            cat_threshold=limits.psi,
        )  # fmt: skip
        drawn = Report([preset]).run(reference_data=sides[0], current_data=sides[1])
        return _html(drawn)


def _is_drawable(reference: "pa.Table", current: "pa.Table", name: str) -> bool:
    """Evidently refuses a column that is missing or all null on one side; we have said so already."""
    return all(
        name in side.schema.names and side.column(name).null_count < side.num_rows for side in (reference, current)
    )


def _html(drawn: object) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "drift.html"
        drawn.save_html(str(path))  # type: ignore[attr-defined]
        return path.read_bytes()
