"""A registered model version and what its tags say: the rules of its life, without any server.

Tag `state`: proposed -> champion -> retired; or rejected (a gate or a canary said no), or held (rolled back in
production). Aliases follow from the states; see common.registry.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

KEY, STATE = "mlops.key", "state"
PROPOSED, CHAMPION, RETIRED, REJECTED, HELD = "proposed", "champion", "retired", "rejected", "held"
PASSED = "passed"
METRIC = "metric."


@dataclass(frozen=True)
class Version:
    """One version. `version` is MLflow's number as text, as MLflow gives it."""

    name: str
    version: str
    run_id: str
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def number(self) -> int:
        return int(self.version)

    @property
    def state(self) -> str:
        return self.tags.get(STATE, "")

    @property
    def digest(self) -> str:
        """SHA-256 of the ONNX file."""
        return self.tags.get("digest", "")

    @property
    def uri(self) -> str:
        """The folder that a model server loads."""
        return self.tags.get("uri", "")

    @property
    def algorithm(self) -> str:
        return self.tags.get("algorithm", "")

    @property
    def key(self) -> str:
        """Key of the step that made it, a colon, the algorithm."""
        return self.tags.get(KEY, "")

    @property
    def step(self) -> str:
        """Key of the step that made it: versions of one step are siblings, of other algorithms. Empty: nobody knows."""
        return self.key.rpartition(":")[0]

    @property
    def gate(self) -> str:
        """The word "passed", or why it was refused; empty where the verdict was on another file than this one's."""
        return self.tags.get("gate", "") if self.tags.get("gate_digest") == self.digest else ""

    @property
    def fairness_gate(self) -> str:
        """The word "passed", or why it was refused; empty where nobody judged this very file."""
        return self.tags.get("fairness_gate", "") if self.tags.get("fairness_gate_digest") == self.digest else ""

    @property
    def gate_champion(self) -> str:
        """Digest of the champion that its gate held it against; empty where that was none."""
        return self.tags.get("gate_champion", "")

    @property
    def metrics(self) -> dict[str, float]:
        """Hold-out metrics by name."""
        return {tag.removeprefix(METRIC): float(value) for tag, value in self.tags.items() if tag.startswith(METRIC)}

    @property
    def roc_auc(self) -> float:
        """On its hold-out; below every other where it was not measured."""
        return self.metrics.get("roc_auc", -1.0)

    @property
    def is_eligible(self) -> bool:
        """May it become champion?"""
        return self.state == PROPOSED and self.gate == PASSED


def champion_of(versions: Iterable[Version], alias: str | None) -> Version | None:
    """Of several champions (a promotion that was killed half way) the one that the alias names, else the newest."""
    standing = [version for version in versions if version.state == CHAMPION]
    named = [version for version in standing if version.version == alias]
    return max(named or standing, key=lambda each: each.number, default=None)


def first_eligible(versions: Iterable[Version]) -> Version | None:
    """Who becomes champion where none stands: the oldest that may."""
    return min((each for each in versions if each.is_eligible), key=lambda each: each.number, default=None)


def candidate_of(versions: Iterable[Version], champion: Version | None) -> Version | None:
    """The newest of those that may be tried against the champion; of siblings the one with the best ROC AUC.

    They were measured on the same hold-out. Of equally good ones it is the newest.
    """
    rivals = rivals_of(versions, champion)
    newest = max(rivals, key=lambda each: each.number, default=None)
    siblings = [each for each in rivals if newest and newest.step and each.step == newest.step]
    return max(siblings, key=lambda each: (each.roc_auc, each.number), default=newest)


def rivals_of(versions: Iterable[Version], champion: Version | None) -> tuple[Version, ...]:
    """Who may become champion: made after the champion, of bytes that nobody has judged in use.

    Who is older was there when the champion was chosen, and so was a sibling that is not as good. Whose bytes were
    champion, or failed a canary or in production, was tried already: it comes back only where a person names it.
    """
    known = tuple(versions)
    tried = {each.digest for each in known if _was_tried(each)} | ({champion.digest} if champion else set())
    after = champion.number if champion else 0
    later = (each for each in known if each.is_eligible and each.number > after and each.digest not in tried)
    return tuple(each for each in later if not (champion and _was_passed_over(each, champion)))


def _was_passed_over(version: Version, champion: Version) -> bool:
    """Did a better sibling become champion? A first champion was compared with nobody, and its siblings are not out."""
    are_siblings = version.step != "" and version.step == champion.step
    return are_siblings and champion.gate_champion != "" and version.roc_auc < champion.roc_auc


def _was_tried(version: Version) -> bool:
    """Was it shown to users? One that a gate refused was not: where its bytes pass a later gate, that one counts."""
    return version.state in (RETIRED, HELD) or (version.state == REJECTED and version.gate == PASSED)
