"""What UC6's steps return: which commit promotes which version, and what the cluster made of it."""

from typing import TYPE_CHECKING, ClassVar

from common.step import Dataset, Result, Section, of_another_model
from uc6_gitops_deployment import shown

if TYPE_CHECKING:
    from common.settings import Settings


class PromotedModel(Result):
    """A version in an environment's overlay, at a commit; or why none is.

    `before` is the version that the overlay had, `created` whether this run made the commit.
    """

    volatile: ClassVar[frozenset[str]] = frozenset({"created", "before", "repository"})

    model_name: str
    environment: str
    namespace: str
    version: str = ""
    digest: str = ""
    uri: str = ""
    commit: str = ""
    message: str = ""
    repository: str = ""
    before: str = ""
    created: bool = False
    why_none: str = ""

    def differs(self, settings: "Settings") -> str:
        return of_another_model(self.model_name, settings)

    @property
    def changed_nothing(self) -> bool:
        """The overlay said so already, or nothing is promoted."""
        return not self.created

    @property
    def trailers(self) -> tuple[tuple[str, str], ...]:
        """What the commit says at its end."""
        last = self.message.strip().rpartition("\n\n")[2] if "\n\n" in self.message.strip() else ""
        return tuple((name, value) for name, _, value in (line.partition(": ") for line in last.splitlines()) if value)

    def reads(self) -> tuple[Dataset, ...]:
        return (Dataset(kind="model", name=self.model_name, digest=self.digest),) if self.version else ()

    def writes(self) -> tuple[Dataset, ...]:
        name = f"deployments/overlays/{self.environment}"
        return (Dataset(kind="data_repository", name=name, digest=self.commit),) if self.version else ()

    def summary(self) -> str:
        if not self.version:
            return self.why_none
        from_ = f"v{self.before} -> " if self.before not in ("", self.version) else ""
        by = dict(self.trailers).get("Approved-by", "")
        said = f", approved by {by}" if by else ""
        if not self.created:
            return f"{self.environment} has v{self.version} at {self.commit[:12]}{said}"
        return f"{from_}v{self.version} to {self.environment} at {self.commit[:12]}{said}"

    def sections(self) -> tuple[Section, ...]:
        return (shown.promotion(self),) if self.version else ()


class SyncedDeployment(Result):
    """What Argo CD made of the commit: Synced and Healthy, and golden predictions that agree.

    `rolled_back` is the version that was taken out of the environment by this run, "" where none was.
    """

    volatile: ClassVar[frozenset[str]] = frozenset(
        {"url", "max_difference", "example", "was_there", "history", "rolled_back"}
    )

    application: str
    environment: str
    namespace: str
    service: str
    version: str = ""
    digest: str = ""
    commit: str = ""
    sync: str = ""
    health: str = ""
    url: str = ""
    golden_rows: int = 0
    max_difference: float = 0.0
    example: str = "{}"
    was_there: bool = False
    rolled_back: str = ""
    history: tuple[tuple[str, str, str], ...] = ()

    @property
    def changed_nothing(self) -> bool:
        """Everything was as git says before we looked."""
        return self.was_there

    def reads(self) -> tuple[Dataset, ...]:
        name = f"deployments/overlays/{self.environment}"
        return (Dataset(kind="data_repository", name=name, digest=self.commit),)

    def writes(self) -> tuple[Dataset, ...]:
        return (Dataset(kind="service", name=f"{self.namespace}/{self.service}", digest=self.digest),)

    def summary(self) -> str:
        back = f"v{self.rolled_back} is taken back and held; " if self.rolled_back else ""
        at = f"{self.sync} and {self.health} at {self.commit[:12]}"
        agreed = f"{self.golden_rows} golden predictions agreed"
        return f"{back}{self.environment} serves v{self.version} at {self.url}; {at}; {agreed}"

    def sections(self) -> tuple[Section, ...]:
        return shown.delivery(self)

    def links(self) -> tuple[tuple[str, str], ...]:
        return ((self.environment.capitalize(), self.url), ("Try it", shown.curl(self)))
