"""The connection to an MLflow server: its client, prepared and quiet, its errors in sentences, and who repeats a call.

MLflow's own retries, which send a POST again without looking, are off: common.retry.mlflow repeats, and what it repeats
looks for its effect first.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, TypeVar

from common import retry
from common.errors import AccessRefused, ConfigError, MlopsError, StepFailed, Unavailable
from common.patience import patience
from common.settings import Mlflow as Section

T = TypeVar("T")

PROBE_SECONDS, REQUEST_SECONDS = 3, 10
NO_JSON = "not in a valid JSON format"  # what MLflow's client says of somebody else's page
REFUSALS = ("error code 401", "error code 403", "PERMISSION_DENIED", "UNAUTHENTICATED")
QUIET = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "GIT_PYTHON_REFRESH": "quiet",
}
# Each would lead MLflow to a server, run or experiment that the configuration does not name.
MISLEADING = (
    "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME",
)  # fmt: skip


class MlflowConnection:
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
