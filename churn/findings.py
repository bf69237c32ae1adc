"""What is said of drift and of a model's quality, as types that need no library: results are made of them."""

from dataclasses import dataclass

HIGHER_IS_BETTER = frozenset({"roc_auc", "pr_auc", "accuracy", "f1"})


@dataclass(frozen=True)
class Limits:
    """From where on a column has drifted."""

    psi: float = 0.2
    kl: float = 0.1
    p_value: float = 0.05
    corrected: bool = True


@dataclass(frozen=True)
class ColumnDrift:
    """One column: how far it moved, how sure that is, and the verdict. Numbers are None where nothing can be compared.

    `method`, `score` and `threshold` are those that decided; `p_value` is corrected where the limits say so.
    `finding` says what is odd about it, such as a column that is gone.
    """

    name: str
    kind: str
    drifted: bool
    method: str = "psi"
    score: float | None = None
    threshold: float | None = None
    psi: float | None = None
    kl: float | None = None
    js: float | None = None
    test: str = ""
    statistic: float | None = None
    p_value: float | None = None
    finding: str = ""


@dataclass(frozen=True)
class Change:
    """A metric before and after; `low` and `high` bound the change, positive where it got better."""

    metric: str
    before: float
    after: float
    low: float
    high: float
    rows: int

    @property
    def change(self) -> float:
        return self.after - self.before if self.metric in HIGHER_IS_BETTER else self.before - self.after

    @property
    def is_better(self) -> bool:
        """Better beyond chance."""
        return self.low > 0

    @property
    def is_worse(self) -> bool:
        """Worse beyond chance."""
        return self.high < 0


def share_of(columns: tuple[ColumnDrift, ...]) -> float:
    """The share of the reference's columns that have drifted."""
    counted = [column for column in columns if not _is_new(column)]
    return sum(column.drifted for column in counted) / len(counted) if counted else 0.0


def noise_floor(rows: int, other_rows: int, bins: int = 11) -> float:
    """The PSI that two samples of one distribution have on average, by their numbers of rows."""
    return (bins - 1) * (1 / rows + 1 / other_rows) if rows and other_rows else float("inf")


def _is_new(column: ColumnDrift) -> bool:
    return column.finding == "is new"
