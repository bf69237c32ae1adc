"""Runs in MLflow: one for each training, found by the key of the step that made it."""

import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.mlflow_connection import MlflowConnection
from common.model_versions import KEY


@dataclass(frozen=True)
class RunFacts:
    """What a training noted about itself."""

    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    started_utc: datetime


class MlflowRuns(MlflowConnection):
    """The runs of one server."""

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

    # One attempt each: whoever calls these repeats them

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        known = self.client.get_experiment_by_name(name)
        if known:
            return str(known.experiment_id)
        try:
            return str(self.client.create_experiment(name))
        except MlflowException:  # somebody was first
            return str(self.client.get_experiment_by_name(name).experiment_id)

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
