"""What UC3's steps return: what production saw beside what the champion learned from, and how that was answered."""

from typing import TYPE_CHECKING, ClassVar

from churn.findings import Change, ColumnDrift
from common.step import Dataset, Result, Section, of_another_model
from uc3_drift_retraining import shown

if TYPE_CHECKING:
    from common.settings import Settings


class DriftReport(Result):
    """One window of data held against the reference; `window` names it, "" where there were too few rows.

    `after` and `until` are names of the prediction log: the first is excluded. `repeated` is a window that an earlier
    run has examined, `changes` say where in the window the stream changed, `before_replay` what was found before.
    """

    volatile: ClassVar[frozenset[str]] = frozenset({"repeated", "before_replay", "waiting_rows"})

    model_name: str
    champion: str
    champion_digest: str
    reference: str
    current: str
    rules: str = ""
    window: str = ""
    after: str = ""
    until: str = ""
    reference_rows: int = 0
    rows: int = 0
    columns: tuple[ColumnDrift, ...] = ()
    changes: tuple[str, ...] = ()
    share: float = 0.0
    threshold: float = 0.3
    high_threshold: float = 0.5
    page: str = ""
    page_rows: int = 0
    uri: str = ""
    replayed: str = ""
    performance: Change | None = None
    needed_rows: int = 0
    waiting_rows: int = 0
    before_replay: str = ""
    repeated: bool = False

    def differs(self, settings: "Settings") -> str:
        return of_another_model(self.model_name, settings)

    @property
    def has_drifted(self) -> bool:
        """More columns have moved than are allowed to."""
        return bool(self.window) and self.share > self.threshold

    @property
    def changed_nothing(self) -> bool:
        """Nothing was examined, nothing that is new, or nothing has moved."""
        return self.repeated or not self.has_drifted

    @property
    def drifted(self) -> tuple[ColumnDrift, ...]:
        return tuple(column for column in self.columns if column.drifted)

    def reads(self) -> tuple[Dataset, ...]:
        kinds = tuple((column.name, "string" if column.kind == "categorical" else "double") for column in self.columns)
        reference = Dataset(kind=_kind(self.reference), name=_place(self.reference), digest=_digest(self.reference),
                            rows=self.reference_rows or None, columns=kinds)  # fmt: skip
        current = Dataset(kind=_kind(self.current), name=_place(self.current), digest=self.window, rows=self.rows,
                          columns=kinds)  # fmt: skip
        model = Dataset(kind="model", name=self.model_name, digest=self.champion_digest)
        return (model, reference, current) if self.window else (model,)

    def writes(self) -> tuple[Dataset, ...]:
        if not self.uri or self.repeated:
            return ()
        return (Dataset(kind="object", name=_place(self.uri), digest=self.window),)

    def summary(self) -> str:
        return shown.drift_line(self)

    def sections(self) -> tuple[Section, ...]:
        return shown.drift(self)


class Population(Result):
    """Some of the hold-out's customers, and how both models answer for them; positive changes are for the better."""

    name: str
    version: str
    change: Change


class Retraining(Result):
    """How drift was answered: by versions that were trained on fresh data, or why by none."""

    volatile: ClassVar[frozenset[str]] = frozenset({"waits", "unchanged"})

    model_name: str
    window: str = ""
    share: float = 0.0
    report: str = ""
    decision: str
    versions: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    candidate: str = ""
    old: str = ""
    snapshot: str = ""
    rows: int = 0
    tables: tuple[str, ...] = ()
    pipeline: str = ""
    populations: tuple[Population, ...] = ()
    waits: bool = False
    unchanged: bool = True

    @property
    def changed_nothing(self) -> bool:
        return self.unchanged

    @property
    def is_provisional(self) -> bool:
        """True where only time, or new data, is waited for."""
        return self.waits

    @property
    def proposes(self) -> bool:
        return "proposed" in self.states

    def reads(self) -> tuple[Dataset, ...]:
        if self.unchanged:
            return ()
        report = Dataset(kind="object", name=_place(self.report), digest=self.window)
        return (report, *(Dataset(kind="table", name=table) for table in self.tables))

    def writes(self) -> tuple[Dataset, ...]:
        if self.unchanged:
            return ()
        snapshot = Dataset(kind="object", name=_place(self.snapshot), digest=_digest(self.snapshot), rows=self.rows)
        return (snapshot, *(Dataset(kind="model", name=self.model_name, digest=digest) for digest in self.digests))

    def summary(self) -> str:
        return shown.retraining_line(self)

    def sections(self) -> tuple[Section, ...]:
        return shown.retraining(self)


def _kind(place: str) -> str:
    return "object" if "://" in place else "table"


def _place(place: str) -> str:
    """The logical path: without the digest that the last part of a URI is."""
    return place.rsplit("/", 1)[0] if "://" in place and not place.endswith("/") else place.rstrip("/")


def _digest(place: str) -> str:
    return place.rsplit("/", 1)[-1].removesuffix(".parquet") if "://" in place else ""
