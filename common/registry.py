"""The model registry: MLflow, with the life of a version in tags, and aliases that follow from them.

Tags (common.model_versions) are the truth and are written in one call with the version; `settle` derives the aliases
`champion` and `candidate` from them, and may be repeated after any crash. Every version carries the key of the step
that made it, and is looked up by it first: MLflow itself would register the same model twice.
"""

from collections.abc import Mapping

from common.errors import GateRefused
from common.logger import get_logger
from common.mlflow_runs import MlflowRuns
from common.model_versions import (
    CHAMPION,
    HELD,
    KEY,
    PASSED,
    PROPOSED,
    REJECTED,
    RETIRED,
    STATE,
    Version,
    candidate_of,
    champion_of,
    first_eligible,
)

__all__ = ["Registry", "Version"]

log = get_logger(__name__)
# Tags that are no longer true of a version that became champion after all.
OF_THE_FALLEN = frozenset({"rejected_because", "retired_by", "held_because"})


class Registry(MlflowRuns):
    """The versions of one server's models, and its runs."""

    # Reading

    def versions(self, name: str) -> tuple[Version, ...]:
        """Every version of a model, oldest first."""
        return self._repeat(lambda: self._versions(name))

    def find(self, name: str, key: str) -> Version | None:
        """The version that the step of this key registered, whatever its state is now."""
        return _of_key(self.versions(name), key)

    def version(self, name: str, number: int) -> Version | None:
        """The version of this number."""
        return next((version for version in self.versions(name) if version.number == number), None)

    def champion(self, name: str) -> Version | None:
        """The version whose state is champion."""
        return champion_of(self.versions(name), self._aliases(name).get("champion"))

    def candidate(self, name: str) -> Version | None:
        """The newest version that may be tried against the champion; see candidate_of."""
        versions = self.versions(name)
        return candidate_of(versions, champion_of(versions, self._aliases(name).get("champion")))

    # Writing

    def register(self, name: str, key: str, *, run_id: str, source: str, tags: Mapping[str, str]) -> Version:
        """Make the version of this key, tags and all in one call, unless it is there."""

        def find_or_make() -> Version:
            known = _of_key(self._versions(name), key)
            return known or self._new_version(name, run_id, source, {**tags, KEY: key})

        return self._repeat(find_or_make)

    def tag(self, version: Version, **tags: str) -> Version:
        """Write tags of a version, `state` last: it is what others act upon."""

        def write() -> None:
            for tag, value in sorted(tags.items(), key=lambda item: item[0] == STATE):
                self.client.set_model_version_tag(version.name, version.version, tag, value)

        self._repeat(write)
        return Version(version.name, version.version, version.run_id, {**version.tags, **tags})

    def promote(self, candidate: Version, champion: Version | None, **tags: str) -> Version:
        """Make the candidate champion and retire the one it was compared with, tags first and the alias last.

        Killed anywhere and repeated it ends the same: until the alias moves, the old champion stands. What others
        made of it in the meantime it keeps. Raises GateRefused, before any write, where a third is champion now.
        """
        known = {version.version: version for version in self.versions(candidate.name)}
        aliases = self._aliases(candidate.name)
        old = known.get(champion.version) if champion else None
        _refuse_a_third(candidate, old, champion_of(known.values(), aliases.get("champion")))
        promoted = self.tag(known.get(candidate.version, candidate), **tags, state=CHAMPION)
        promoted = self._without(promoted, OF_THE_FALLEN)
        if old and old.version != candidate.version and old.state == CHAMPION:
            self.tag(old, retired_by=candidate.version, state=RETIRED)
        self._repeat(self._point, candidate.name, "champion", promoted, aliases.get("champion"))
        self.settle(candidate.name)
        return promoted

    def reject(self, version: Version, reason: str) -> Version:
        """Say that the version failed its canary, and why; it is no candidate any more.

        Raises GateRefused where it has become champion: who serves is not taken away by an experiment's verdict.
        """
        now = self.version(version.name, version.number) or version
        if now.state == CHAMPION:
            raise GateRefused(
                f"Version {now.version} of {now.name} is champion; it is not rejected, although {reason}.",
                "Make another version champion first, then reject this one.",
            )
        rejected = self.tag(now, rejected_because=reason, state=REJECTED)
        self.settle(version.name)
        return rejected

    def hold(self, version: Version, reason: str, successor: Version | None = None) -> Version:
        """Say that the version was rolled back in production, and why; only a person brings it back.

        Where it was champion, the one that serves again is champion now: no candidate gets there without a canary.
        Its tag comes first and the alias last, so that a repeated call ends what a killed one began.
        """
        now = self.version(version.name, version.number) or version
        next_one = self.version(version.name, successor.number) if successor else None
        if now.state == CHAMPION and next_one and next_one.gate == PASSED and next_one.state in (RETIRED, PROPOSED):
            because = f"version {now.version} was rolled back in production"
            self._without(self.tag(next_one, promoted_because=because, state=CHAMPION), OF_THE_FALLEN)
        held = self.tag(now, held_because=reason, approved_digest="", state=HELD)  # it was approved before this
        self.settle(version.name)
        return held

    def _without(self, version: Version, names: frozenset[str]) -> Version:
        """Delete the tags of these names."""

        def delete() -> None:
            for name in sorted(version.tags.keys() & names):
                self.client.delete_model_version_tag(version.name, version.version, name)

        self._repeat(delete)
        kept = {name: value for name, value in version.tags.items() if name not in names}
        return Version(version.name, version.version, version.run_id, kept)

    def settle(self, name: str) -> Version | None:
        """Make the aliases follow the tags, and return the champion.

        Where no champion stands, the oldest proposed version that passed its gate becomes it.
        """
        versions, aliases = self.versions(name), self._aliases(name)
        champion = champion_of(versions, aliases.get("champion"))
        if champion is None and (first := first_eligible(versions)):
            champion = self.tag(first, state=CHAMPION, promoted_because="no champion stood")
        candidate = candidate_of(versions, champion)
        for alias, version in (("champion", champion), ("candidate", candidate)):
            self._repeat(self._point, name, alias, version, aliases.get(alias))
        return champion

    def _point(self, name: str, alias: str, version: Version | None, now: str | None) -> None:
        if version is None and now is not None:
            self.client.delete_registered_model_alias(name, alias)
        elif version is not None and version.version != now:
            self.client.set_registered_model_alias(name, alias, version.version)
            log.info("alias moved", model=name, alias=alias, version=version.version)

    def _aliases(self, name: str) -> dict[str, str]:
        from mlflow.exceptions import MlflowException

        def read() -> dict[str, str]:
            try:
                aliases = self.client.get_registered_model(name).aliases
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                return {}
            return {alias: str(version) for alias, version in aliases.items()}

        return self._repeat(read)

    # One attempt each: whoever calls these repeats them

    def _versions(self, name: str) -> tuple[Version, ...]:
        found: list[Version] = []
        token: str | None = None
        while token != "":
            page = self.client.search_model_versions(f"name = '{name}'", max_results=1000, page_token=token)
            found += [Version(v.name, str(v.version), v.run_id or "", dict(v.tags)) for v in page]
            token = page.token or ""
        return tuple(sorted(found, key=lambda each: each.number))

    def _new_version(self, name: str, run_id: str, source: str, tags: Mapping[str, str]) -> Version:
        self._registered_model(name)
        model_id = source.rsplit("/", 1)[-1]
        made = self.client.create_model_version(name, source, run_id=run_id, model_id=model_id, tags=dict(tags))
        log.info("registered", model=name, version=made.version, state=tags.get(STATE))
        return Version(name, str(made.version), run_id, tags)

    def _registered_model(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def _of_key(versions: tuple[Version, ...], key: str) -> Version | None:
    return next((version for version in versions if version.key == key), None)


def _refuse_a_third(candidate: Version, told: Version | None, standing: Version | None) -> None:
    """Raise GateRefused where the champion is neither the candidate nor the one that it was compared with."""
    if standing and standing.version not in (candidate.version, told.version if told else None):
        raise GateRefused(
            f"Version {standing.version} of {candidate.name} became champion in the meantime; "
            f"version {candidate.version} is not promoted.",
            "It was compared with another champion: try it again.",
        )
