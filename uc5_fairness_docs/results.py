"""What UC5's steps return: how fair the champion is, and the card that describes it."""

from typing import TYPE_CHECKING

from common.step import Dataset, Result, Section, of_another_model
from uc5_fairness_docs import shown

if TYPE_CHECKING:
    from common.settings import Settings


class Judged(Result):
    """A version, and what the fairness gate says of it: the word "passed", or why not.

    `word` is the verdict for a line or a badge: "passed, 1 open" where a difference above its limit may be chance.
    """

    version: str
    algorithm: str
    digest: str
    verdict: str
    word: str
    notes: tuple[str, ...] = ()

    @property
    def arm(self) -> str:
        """What the page calls it, such as v2."""
        return f"v{self.version}"


class Difference(Result):
    """The largest difference between groups in one criterion; see churn.fairness.Gap."""

    criterion: str
    column: str
    value: float
    low: float
    high: float
    level: float
    limit: float
    lower: str
    higher: str
    state: str


class GroupRates(Result):
    """One group of one sensitive column at the champion's threshold. A rate that nobody counts for is None."""

    column: str
    group: str
    rows: int
    small: bool
    selection_rate: float
    true_positive_rate: float | None
    false_positive_rate: float | None
    accuracy: float
    roc_auc: tuple[float, float, float] | None


class FairnessReport(Result):
    """The champion's fairness on its hold-out, beside a challenger's; the page that shows it."""

    model_name: str
    champion: Judged
    challenger: Judged | None
    data_uri: str
    rows: int
    confidence: float
    differences: tuple[Difference, ...]
    groups: tuple[GroupRates, ...]
    page: str
    data: str
    picture: str

    def differs(self, settings: "Settings") -> str:
        return of_another_model(self.model_name, settings)

    def reads(self) -> tuple[Dataset, ...]:
        models = (self.champion, self.challenger) if self.challenger else (self.champion,)
        snapshot, file = self.data_uri.rsplit("/", 1)
        data = Dataset(kind="object", name=snapshot, digest=file.removesuffix(".parquet"))
        return (data, *(Dataset(kind="model", name=self.model_name, digest=each.digest) for each in models))

    def writes(self) -> tuple[Dataset, ...]:
        return (Dataset(kind="object", name=self.page.rsplit("/", 2)[0], digest=self.page.rsplit("/", 2)[1]),)

    def summary(self) -> str:
        worst = max(self.differences, key=lambda each: each.value / max(each.limit, 1e-9), default=None)
        nearest = (
            f"; nearest its limit: {worst.criterion.replace('_', ' ')} by {worst.column} {worst.value:.3f} of "
            f"{worst.limit:g}"
            if worst
            else ""
        )
        return f"{self.champion.arm} {self.champion.word} on {self.rows:,} hold-out rows{nearest}"

    def sections(self) -> tuple[Section, ...]:
        return shown.fairness(self)


class ModelCard(Result):
    """The champion's card in three forms, and the evidence beside it. `missing` are fields without a source."""

    model_name: str
    version: str
    digest: str
    page: str
    data: str
    markdown: str
    evidence: str
    filled: int
    missing: tuple[str, ...]

    def reads(self) -> tuple[Dataset, ...]:
        return (Dataset(kind="model", name=self.model_name, digest=self.digest),)

    def writes(self) -> tuple[Dataset, ...]:
        return (Dataset(kind="object", name=self.page.rsplit("/", 2)[0], digest=self.page.rsplit("/", 2)[1]),)

    def summary(self) -> str:
        lacking = f", without a source: {', '.join(self.missing)}" if self.missing else ""
        return f"v{self.version}: {self.filled} fields filled from what ran{lacking}"

    def sections(self) -> tuple[Section, ...]:
        return (shown.card(self),)
