"""MLflow: runs and registry in the embedded PostgreSQL, artifacts proxied to the embedded S3.

Clients need the address and nothing else: the server alone holds the keys of the store.
"""

from __future__ import annotations

import json
from urllib.parse import quote

from common.paths import ROOT
from embedded import ports
from embedded.addresses import Sections
from embedded.layout import Layout
from embedded.ports import PortRange
from embedded.secret_files import secret
from embedded.services import minio, postgres, probes
from embedded.services.service import NotReadyError
from embedded.units import Program, python


class Mlflow:
    """The tracking server."""

    name = "mlflow"
    needs: tuple[str, ...] = ("postgres", "minio")
    waits_itself = True
    publishes: tuple[str, ...] = ("mlflow",)
    ports: PortRange | None = PortRange(5000)
    patience_seconds = 150.0

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def install(self) -> None:
        """Nothing: its files are a database and a bucket."""

    def program(self, port: int) -> Program:
        """Our start-up around MLflow's own application."""
        command = (python(), "-m", "embedded.mlflow_server", "--port", str(port))
        environment = {
            "MLFLOW_BACKEND_STORE_URI": self._database_url(),
            "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{minio.MLFLOW_BUCKET}",
            "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{ports.kept(self.layout, 'minio')}",
            "AWS_ACCESS_KEY_ID": minio.ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": secret(self.layout, "minio"),
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # ten processes and 1.1 GB for what we never use
            "PYTHONWARNINGS": "ignore",
        }
        return Program(self.name, command, str(ROOT), environment)

    def before_start(self) -> None:
        """Nothing lies around between two lives."""

    def check(self, port: int) -> None:
        """An answer out of the database; artifacts must be proxied, or clients would write to their own disk."""
        answer = probes.get(port, "/api/2.0/mlflow/experiments/get?experiment_id=0", seconds=10)
        place = json.loads(answer)["experiment"]["artifact_location"]
        if not place.startswith("mlflow-artifacts:"):
            raise NotReadyError(f"artifacts of the default experiment go to {place}, not through the server")

    def prepare(self, port: int) -> None:
        """Nothing: the server makes its tables before it listens."""

    def sections(self, port: int) -> Sections:
        """Where clients connect to; also the address of its pages."""
        return {"mlflow": {"tracking_uri": f"http://127.0.0.1:{port}"}}

    def _database_url(self) -> str:
        password, port = quote(secret(self.layout, "postgres"), safe=""), ports.kept(self.layout, "postgres")
        return f"postgresql+psycopg2://{postgres.USER}:{password}@127.0.0.1:{port}/{postgres.MLFLOW_DATABASE}"
