"""What UC2's steps return: who is tried against whom, by which experiment, and how it ended."""

from typing import TYPE_CHECKING, ClassVar

from churn.objectives import Objective, Window
from common.serving_manifests import Deployment, service_name
from common.step import Dataset, Result, Section, of_another_model
from uc2_ab_testing import shown

if TYPE_CHECKING:
    from common.model_versions import Version
    from common.settings import Settings


class ServedVersion(Result):
    """A registered version that takes part. `uri` is the folder that KServe loads, `data_uri` what it learned from."""

    version: str
    digest: str
    uri: str
    data_uri: str = ""

    @classmethod
    def of(cls, version: "Version") -> "ServedVersion":
        """A version of the registry as one that takes part."""
        tags = version.tags
        return cls(version=version.version, digest=version.digest, uri=version.uri, data_uri=tags.get("data_uri", ""))

    @property
    def arm(self) -> str:
        """What manifests, metrics and the prediction log call it, such as v2."""
        return f"v{self.version}"


class CanaryDeployment(Result):
    """The candidate beside the champion in one InferenceService; or why there is none."""

    volatile: ClassVar[frozenset[str]] = frozenset({"percent", "url"})

    model_name: str
    namespace: str
    champion: ServedVersion
    candidate: ServedVersion | None = None
    why_none: str = ""
    form: str = ""
    percent: int = 0
    injected: str = ""
    url: str = ""

    def differs(self, settings: "Settings") -> str:
        return of_another_model(self.model_name, settings)

    @property
    def changed_nothing(self) -> bool:
        """No version is waiting to be tried."""
        return self.candidate is None

    @property
    def service(self) -> str:
        """Name of the InferenceService."""
        return service_name(self.model_name)

    @property
    def challenger(self) -> ServedVersion:
        """The candidate, for those who know that there is one."""
        assert self.candidate is not None
        return self.candidate

    def deployment(self, version: ServedVersion, key: str) -> Deployment:
        """One of the two, as KServe is asked for it."""
        return Deployment(self.model_name, self.namespace, version.version, version.digest, version.uri, key)

    def reads(self) -> tuple[Dataset, ...]:
        return tuple(Dataset(kind="model", name=self.model_name, digest=each.digest) for each in self._both())

    def writes(self) -> tuple[Dataset, ...]:
        name = f"{self.namespace}/{self.service}"
        return () if self.candidate is None else (Dataset(kind="service", name=name, digest=self.candidate.digest),)

    def summary(self) -> str:
        if self.candidate is None:
            return self.why_none
        bad = f", made bad on purpose: {self.injected}" if self.injected else ""
        return f"{self.candidate.arm} beside {self.champion.arm} at {self.percent} %{bad}"

    def sections(self) -> tuple[Section, ...]:
        return () if self.candidate is None else (shown.canary(self),)

    def _both(self) -> tuple[ServedVersion, ...]:
        return (self.champion, self.candidate) if self.candidate else (self.champion,)


class ExperimentRun(Result):
    """The Experiment that holds the canary to its objectives.

    `expected_disagreement` is the share of the hold-out's rows on which the two models decide differently.
    """

    canary: CanaryDeployment
    name: str = ""
    expected_disagreement: float = 0.0
    holdout_rows: int = 0

    def differs(self, settings: "Settings") -> str:
        return of_another_model(self.canary.model_name, settings)

    @property
    def changed_nothing(self) -> bool:
        """There is no canary to hold to anything."""
        return not self.name

    def reads(self) -> tuple[Dataset, ...]:
        return self.canary.reads()

    def summary(self) -> str:
        if not self.name:
            return self.canary.why_none
        compared = f"; the models differ on {self.expected_disagreement:.1%} of {self.holdout_rows:,} hold-out rows"
        return self.name + (compared if self.holdout_rows else "")

    def sections(self) -> tuple[Section, ...]:
        return () if not self.name else (shown.experiment(self),)


class CanaryVerdict(Result):
    """How a canary ended: promoted, rolled back or undecided; what was seen, window by window."""

    volatile: ClassVar[frozenset[str]] = frozenset({"windows", "objectives", "sent", "failed", "picture"})

    experiment: ExperimentRun
    verdict: str = ""
    reason: str = ""
    windows: tuple[Window, ...] = ()
    objectives: tuple[Objective, ...] = ()
    sent: int = 0
    failed: int = 0
    picture: str = ""

    @property
    def changed_nothing(self) -> bool:
        """Nothing was watched."""
        return not self.verdict

    def reads(self) -> tuple[Dataset, ...]:
        return self.experiment.reads()

    def writes(self) -> tuple[Dataset, ...]:
        canary = self.experiment.canary
        if not self.verdict:
            return ()
        serving = canary.challenger if self.verdict == "promoted" else canary.champion
        return (Dataset(kind="service", name=f"{canary.namespace}/{canary.service}", digest=serving.digest),)

    def summary(self) -> str:
        canary = self.experiment.canary
        if not self.verdict:
            return canary.why_none
        count = len(self.windows)
        after = f"{canary.challenger.arm} {self.verdict} after {count} window{'s' * (count != 1)}"
        return f"{after}: {self.reason}" if self.verdict == "promoted" else f"({after})"

    def sections(self) -> tuple[Section, ...]:
        return shown.verdict(self) if self.verdict else ()
