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
    """The newest of those that may be tried against the champion."""
    return max(rivals_of(versions, champion), key=lambda each: each.number, default=None)


def rivals_of(versions: Iterable[Version], champion: Version | None) -> tuple[Version, ...]:
    """Who may become champion: made after the champion, of bytes that nobody has judged in use.

    Who is older was there when the champion was chosen. Whose bytes were champion, or failed a canary or in
    production, was tried already: it comes back only where a person names it.
    """
    known = tuple(versions)
    tried = {each.digest for each in known if _was_tried(each)} | ({champion.digest} if champion else set())
    after = champion.number if champion else 0
    return tuple(each for each in known if each.is_eligible and each.number > after and each.digest not in tried)


def _was_tried(version: Version) -> bool:
    """Was it shown to users? One that a gate refused was not: where its bytes pass a later gate, that one counts."""
    return version.state in (RETIRED, HELD) or (version.state == REJECTED and version.gate == PASSED)
