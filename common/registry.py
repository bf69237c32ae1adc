"""The model registry: MLflow, with the life of a version in tags, and aliases that follow from them.

Tags (common.model_versions) are the truth and are written in one call with the version; `settle` derives the aliases
`champion` and `candidate` from them, and may be repeated after any crash. Every run and version carries the key
of the step that made it, and is looked up by it first: MLflow itself would register the same model twice. So
MLflow's own retries, which send a POST again without looking, are off: common.retry.mlflow repeats, and looks.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from common import retry
from common.errors import AccessRefused, ConfigError, GateRefused, MlopsError, StepFailed, Unavailable
from common.logger import get_logger
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
from common.patience import patience
from common.settings import Mlflow as Section

__all__ = ["Registry", "Version"]

log = get_logger(__name__)
T = TypeVar("T")

PROBE_SECONDS, REQUEST_SECONDS = 3, 10
NO_JSON = "not in a valid JSON format"  # what MLflow's client says of somebody else's page
# Tags that are no longer true of a version that became champion after all.
OF_THE_FALLEN = frozenset({"rejected_because", "retired_by", "held_because"})
QUIET = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "GIT_PYTHON_REFRESH": "quiet",
}
REFUSALS = ("error code 401", "error code 403", "PERMISSION_DENIED", "UNAUTHENTICATED")
# Each would lead MLflow to a server, run or experiment that the configuration does not name.
MISLEADING = (
    "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME",
)  # fmt: skip


@dataclass(frozen=True)
class RunFacts:
    """What a training noted about itself."""

    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    started_utc: datetime


class Registry:
    """One MLflow server. Nothing connects, and MLflow is not imported, before it is used."""

    def __init__(self, settings: Section) -> None:
        self.settings = settings

    @cached_property
    def client(self) -> Any:
        """MLflow's client, after a quick look whether the server is there: its own retries take half a minute."""
        self.probe()
        self.prepare_environment()
        from mlflow import MlflowClient

        _import_without_feast()
        return MlflowClient(self.settings.tracking_uri, registry_uri=self.settings.tracking_uri)

    def probe(self) -> None:
        """Raise Unavailable when no server answers, each try within PROBE_SECONDS; ConfigError where it is another."""
        import requests

        try:
            status = self._health()
        except requests.RequestException as error:
            why = type(error).__name__ if error.response is None else str(error)
            raise self._unavailable(why) from error
        if status == 404:
            raise ConfigError(f"There is no MLflow at {self.settings.tracking_uri}.", "Correct mlflow.tracking_uri.")

    @retry.mlflow
    def _health(self) -> int:
        import requests

        answer = requests.get(f"{self.settings.tracking_uri}/health", timeout=patience(PROBE_SECONDS))
        if answer.status_code >= 500 or answer.status_code in (409, 429):
            raise requests.ConnectionError(f"it answered {answer.status_code}", response=answer)
        return answer.status_code

    def ping(self) -> str:
        """The server's version. Raises Unavailable."""
        import requests

        self.probe()
        try:
            said = requests.get(f"{self.settings.tracking_uri}/version", timeout=patience(PROBE_SECONDS)).text
            return f"MLflow {said.strip()}"
        except requests.RequestException as error:
            raise self._unavailable(type(error).__name__) from error

    def probe_write(self) -> None:
        """Tag the experiment that every server has: the least that needs the right to write."""
        self._repeat(lambda: self.client.set_experiment_tag("0", "mlops.write_probe", "ok"))

    def prepare_environment(self) -> None:
        """Set what MLflow reads from the environment only: deadlines, silence, credentials; ours, not the user's."""
        seconds = max(1, round(patience(REQUEST_SECONDS)))  # MLflow wants a whole number
        os.environ.update(QUIET, MLFLOW_HTTP_REQUEST_TIMEOUT=str(seconds))
        for name in MISLEADING + (("MLFLOW_TRACKING_TOKEN",) if self.settings.embedded else ()):
            os.environ.pop(name, None)
        secret = self.settings.password.get_secret_value()
        wanted = {"MLFLOW_TRACKING_USERNAME": self.settings.username, "MLFLOW_TRACKING_PASSWORD": secret}
        for name, value in wanted.items():
            os.environ.pop(name, None)
            if value:
                os.environ[name] = value

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

    def run_facts(self, run_id: str) -> RunFacts:
        """What a run noted: its parameters, its metrics, when it began."""
        run = self._repeat(lambda: self.client.get_run(run_id))
        started = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
        return RunFacts(dict(run.data.params), dict(run.data.metrics), started)

    def attach(self, run_id: str, files: Path, folder: str) -> None:
        """Put everything in `files` among the artifacts of a run, under `folder`; what is there is replaced."""
        self._repeat(lambda: self.client.log_artifacts(run_id, str(files), folder))

    def artifacts(self, run_id: str, names: Collection[str]) -> dict[str, bytes]:
        """Those of the named files that are at the root of a run's artifacts."""

        def fetch() -> dict[str, bytes]:
            there = [each.path for each in self.client.list_artifacts(run_id) if each.path in names]
            with tempfile.TemporaryDirectory() as directory:
                return {
                    name: Path(self.client.download_artifacts(run_id, name, directory)).read_bytes() for name in there
                }

        return self._repeat(fetch)

    def run_page(self, run_id: str) -> str:
        """Where a person looks at a run."""
        experiment = self._repeat(lambda: self.client.get_run(run_id).info.experiment_id)
        return f"{self.settings.tracking_uri}/#/experiments/{experiment}/runs/{run_id}"

    # Writing

    def record_run(
        self,
        experiment: str,
        key: str,
        *,
        name: str,
        parameters: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        files: Path,
        log_model: Callable[[], str],
    ) -> tuple[str, str]:
        """Record one training as a run; returns its id and the URI of its model.

        A finished run of this key is returned as it is; what a killed one left is deleted. `log_model` is called
        inside the run and returns the model's URI. Everything in `files` becomes its artifacts.
        """

        def find_or_make() -> tuple[str, str]:
            experiment_id = self._experiment(experiment)
            known = self._finished_run(experiment_id, key)
            return known or self._new_run(
                experiment_id, {**tags, KEY: key}, name, parameters, metrics, files, log_model
            )

        return self._repeat(find_or_make)

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

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        known = self.client.get_experiment_by_name(name)
        if known:
            return str(known.experiment_id)
        try:
            return str(self.client.create_experiment(name))
        except MlflowException:  # somebody was first
            return str(self.client.get_experiment_by_name(name).experiment_id)

    def _registered_model(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _finished_run(self, experiment_id: str, key: str) -> tuple[str, str] | None:
        for run in self.client.search_runs([experiment_id], f"tags.`{KEY}` = '{key}'"):
            models = run.outputs.model_outputs if run.outputs else []
            if run.info.status == "FINISHED" and models:
                return run.info.run_id, f"models:/{models[-1].model_id}"
            self.client.delete_run(run.info.run_id)
        return None

    def _new_run(
        self,
        experiment_id: str,
        tags: Mapping[str, str],
        name: str,
        parameters: Mapping[str, Any],
        metrics: Mapping[str, float],
        files: Path,
        log_model: Callable[[], str],
    ) -> tuple[str, str]:
        import mlflow

        mlflow.set_tracking_uri(self.settings.tracking_uri)
        with mlflow.start_run(experiment_id=experiment_id, run_name=name, tags=dict(tags)) as run:
            mlflow.log_params(dict(parameters))
            mlflow.log_metrics(dict(metrics))
            mlflow.log_artifacts(str(files))
            source = log_model()
        return run.info.run_id, source

    # Errors

    def _unavailable(self, why: str) -> Unavailable:
        return Unavailable(
            f"MLflow at {self.settings.tracking_uri} does not answer: {why}.",
            "Start it, or set mlflow.tracking_uri; `python -m common doctor` shows what is up.",
        )

    def _repeat(self, function: Callable[..., T], *args: Any) -> T:
        """Repeat a call that looks for its effect first, while its error may pass."""
        with self._translated():
            return retry.mlflow.call(function, *args)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except MlopsError:
            raise
        except Exception as error:
            if not any(kind.__module__.startswith(("mlflow", "requests")) for kind in type(error).__mro__):
                raise
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> MlopsError:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        if retry.mlflow.is_transient(error):
            return self._unavailable(first_line)
        if NO_JSON in first_line:
            return Unavailable(
                f"What answers at {self.settings.tracking_uri} is no MLflow.",
                "Correct mlflow.tracking_uri, and look for proxies in between.",
            )
        if any(said in first_line for said in REFUSALS):
            return AccessRefused(
                f"MLflow at {self.settings.tracking_uri} refused the user {self.settings.username or '(none)'}.",
                "Set mlflow.username and MLOPS_MLFLOW__PASSWORD.",
            )
        return StepFailed(f"MLflow at {self.settings.tracking_uri} refused: {first_line}")


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


def _import_without_feast() -> None:
    """Keep MLflow's first request from importing Feast, which takes 5 seconds.

    Feast registers itself as a plugin that adds headers to MLflow's requests; other plugins stay.
    """
    from mlflow.utils import plugins

    original = plugins.get_entry_points
    plugins.get_entry_points = lambda group: [each for each in original(group) if each.name != "feast"]
    try:
        import mlflow.tracking.request_header.registry  # noqa: F401
    finally:
        plugins.get_entry_points = original
