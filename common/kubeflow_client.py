"""Kubeflow Pipelines: run a compiled pipeline, once for a key, and wait for it.

Two classes with one contract. LocalPipelines runs the package with Kubeflow's own local runner; ClusterPipelines
submits it to a server. Neither retries a failed run, and neither knows what a pipeline does.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import AccessRefused, DeadlineExceeded, InvalidData, MlopsError, StepFailed, Unavailable
from common.logger import get_logger
from common.paths import state_dir
from common.process import CommandFailed, run_command
from common.settings import Kubeflow as Section
from common.stored import RESTORE, json_object

if TYPE_CHECKING:
    from common.minio_client import ObjectStore

log = get_logger(__name__)

POLL_SECONDS = 5
MOST_MISSED = 12  # looks in a row that a run under way may be missed: about a minute
PROBE_SECONDS = 3
SUCCEEDED = "SUCCEEDED"
REFUSED = (401, 403)
UNDER_WAY = {"PENDING", "RUNNING", "PAUSED", "CANCELING", "RUNTIME_STATE_UNSPECIFIED", None}
# A component's numbers must not depend on how many threads a library finds; and threads only spin on shared cores.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class PipelineRun:
    """How a run ended: state is Kubeflow's word for it, error the last thing a failed component said."""

    id: str
    state: str
    error: str = ""

    @property
    def succeeded(self) -> bool:
        return self.state == SUCCEEDED


class LocalPipelines:
    """Kubeflow's local runner, in a process that takes its components with it when it ends."""

    def ping(self) -> str:
        """The runner's version."""
        from importlib.metadata import version

        return f"kfp.local {version('kfp')}"

    def probe_write(self) -> None:
        """Look whether the place for the run's files can be written to. Raises OSError."""
        with tempfile.TemporaryDirectory(dir=state_dir()):
            return

    def run(
        self, name: str, package: bytes, arguments: Mapping[str, Any], *, key: str, deadline_seconds: float
    ) -> PipelineRun:
        """Run the pipeline from its compiled YAML. What a killed run left behind is removed first.

        Raises DeadlineExceeded; a failing component is no exception but a PipelineRun with its error.
        """
        run_id = f"local-{key[:16]}"
        place = state_dir() / "pipelines" / run_id
        log_file = state_dir() / "logs" / f"{name}.log"
        shutil.rmtree(place, ignore_errors=True)
        temporary = place / "tmp"  # kfp leaves a directory there for each component
        temporary.mkdir(parents=True)
        log_file.parent.mkdir(parents=True, exist_ok=True)
        file = place / f"{name}.yaml"
        file.write_bytes(package)
        command = [sys.executable, "-m", "common.kubeflow_local", str(file), json.dumps(dict(arguments))]
        log.info("pipeline started", pipeline=name, log=str(log_file))
        try:
            run_command(
                [*command, str(place / "root"), str(log_file)],
                deadline_seconds=deadline_seconds, cwd=place,
                env={**os.environ, **ONE_THREAD, "TMPDIR": str(temporary)},
            )  # fmt: skip
        except CommandFailed as error:
            said = error.stderr.strip().splitlines() or [str(error)]
            return PipelineRun(run_id, "FAILED", said[-1])
        finally:
            shutil.rmtree(place, ignore_errors=True)
            with contextlib.suppress(OSError):  # another pipeline's run is in it
                place.parent.rmdir()
        return PipelineRun(run_id, SUCCEEDED)


class ClusterPipelines:
    """A Kubeflow Pipelines server."""

    def __init__(self, settings: Section) -> None:
        self.settings = settings

    def ping(self) -> str:
        """What the server says of itself. Raises Unavailable, AccessRefused."""
        with self._translated():
            return f"Kubeflow Pipelines {self._client.get_kfp_healthz().tag_name or ''}".strip()

    def probe_write(self) -> None:
        """Ask for the pipelines. No write leaves nothing here, but a token that may read nothing shows."""
        with self._translated():
            self._client.list_pipelines(page_size=1)

    def run(
        self, name: str, package: bytes, arguments: Mapping[str, Any], *, key: str, deadline_seconds: float
    ) -> PipelineRun:
        """Submit the pipeline and wait. A run of the same key that is under way is joined instead.

        A run that ended is never joined: whoever calls this has looked, and misses something of what it made.

        Raises Unavailable, AccessRefused and DeadlineExceeded; the run itself goes on after a deadline.
        """
        with self._translated(), tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / f"{name}.yaml"
            file.write_bytes(package)
            self._upload(name, file)
            known = self._known_runs(f"{name}-{key[:16]}")
            joined = next((run for run in known if run.state in UNDER_WAY), None)
            run_id = joined.run_id if joined else self._submit(name, file, arguments, f"{name}-{key[:16]}")
            log.info("pipeline joined" if joined else "pipeline submitted", pipeline=name, run_id=run_id)
            return self._ended(run_id, deadline_seconds)

    @cached_property
    def _client(self) -> Any:
        token = self.settings.token.get_secret_value()
        self._probe(token)
        from kfp.client import Client

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This client only works with Kubeflow Pipeline", FutureWarning)
            return Client(host=self.settings.host, namespace=self.settings.namespace, existing_token=token or None)

    def _probe(self, token: str) -> None:
        """Look whether a server answers, and us: kfp's own client would try for half a minute."""
        import requests

        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = requests.get(f"{self.settings.host}/apis/v2beta1/healthz", headers=headers, timeout=PROBE_SECONDS)
        if answer.status_code in REFUSED:
            raise self._refused(answer.status_code)

    def _upload(self, name: str, file: Path) -> None:
        """Make the pipeline known by its name, a version for each digest of its definition."""
        version = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        pipeline = self._client.get_pipeline_id(name)
        if pipeline is None:
            pipeline = self._client.upload_pipeline(str(file), pipeline_name=name).pipeline_id
        known = self._client.list_pipeline_versions(pipeline, page_size=100).pipeline_versions or []
        if version not in {each.display_name for each in known}:
            self._client.upload_pipeline_version(str(file), version, pipeline_id=pipeline)

    def _known_runs(self, run_name: str) -> list[Any]:
        predicate = {"key": "name", "operation": "EQUALS", "string_value": run_name}
        answer = self._client.list_runs(
            page_size=20, namespace=self.settings.namespace, filter=json.dumps({"predicates": [predicate]})
        )
        return [run for run in answer.runs or [] if run.display_name == run_name]

    def _submit(self, name: str, file: Path, arguments: Mapping[str, Any], run_name: str) -> str:
        submitted = self._client.create_run_from_pipeline_package(
            str(file), dict(arguments), run_name=run_name, experiment_name=name, enable_caching=False,
            namespace=self.settings.namespace,
        )  # fmt: skip
        return str(submitted.run_id)

    def _ended(self, run_id: str, deadline_seconds: float) -> PipelineRun:
        """Wait for any state that is an end. kfp's own wait knows no cancelled run, and asks on after a 401."""
        end, missed = time.monotonic() + deadline_seconds, 0
        while True:
            try:
                run, missed = self._client.get_run(run_id), 0
            except Exception as error:  # as in _translated; a server that is away for a moment is asked again
                missed += 1
                if missed > MOST_MISSED or not isinstance(self._explained(error), Unavailable):
                    raise
            else:
                if run.state not in UNDER_WAY:
                    return PipelineRun(run_id, run.state, run.error.message if run.error else "")
            if time.monotonic() > end:
                raise DeadlineExceeded(f"Pipeline run {run_id} did not end within {deadline_seconds:g} s.")
            time.sleep(POLL_SECONDS)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except MlopsError:
            raise
        except Exception as error:  # kfp raises whatever its generated client and urllib3 raise
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> MlopsError:
        where, status = f"Kubeflow Pipelines at {self.settings.host}", getattr(error, "status", None)
        if status in REFUSED:
            return self._refused(status)
        if status is None or status >= 500 or status == 429:
            return Unavailable(f"{where} did not answer: {type(error).__name__}.", "Check kubeflow.host.")
        return StepFailed(f"{where} answered {status}: {getattr(error, 'reason', '')}.")

    def _refused(self, status: int) -> AccessRefused:
        where = f"Kubeflow Pipelines at {self.settings.host}"
        return AccessRefused(f"{where} refused the token ({status}).", "Set MLOPS_KUBEFLOW__TOKEN.")


def publish_package(store: "ObjectStore", name: str, package: bytes) -> str:
    """Publish a compiled pipeline under its digest and point `latest` at it; returns its URI."""
    key = f"pipelines/{name}/{hashlib.sha256(package).hexdigest()}.yaml"
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "package.yaml"
        file.write_bytes(package)
        uri = store.publish(key, file).uri
    pointer = f"pipelines/{name}/latest.json"
    if not store.exists(pointer) or store.get_json(pointer).get("uri") != uri:
        store.put_json(pointer, {"uri": uri})
    return uri


def published_package(store: "ObjectStore", name: str) -> tuple[str, bytes]:
    """URI and content of the pipeline that was published last under `name`. Raises NoSuchObject, InvalidData."""
    uri = str(json_object(store, store.uri(f"pipelines/{name}/latest.json"), "uri")["uri"])
    package = store.get_bytes(store.key(uri))
    if hashlib.sha256(package).hexdigest() not in uri:
        raise InvalidData(f"{uri} is not the pipeline that was published under this digest.", RESTORE)
    return uri, package
