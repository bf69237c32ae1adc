"""A served champion and a population that has moved away from it, on the session's one platform."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from common.config import ROOT
from common.kubeflow_client import publish_package
from tests.uc2.world import World
from uc1_churn_prediction.training_pipeline import NAME, compile_pipeline

ROWS, LATER_ROWS = 2000, 1500


class DriftingWorld(World):
    """Runs UC3's scripts as a user would. UC1 has published its pipeline; two small labelled tables are fresh."""

    def __init__(self, name: str, directory: Path, platform_state: Path) -> None:
        super().__init__(name, directory, platform_state)
        self.usual, self.moved = f"customers_{name}", f"later_{name}"
        self.env |= {
            "MLOPS_UC3__FRESH": json.dumps([self.usual, self.moved]), "MLOPS_UC3__REPLAY__TABLE": self.moved,
            "MLOPS_UC3__REPLAY__ROWS": "800", "MLOPS_UC3__MIN_ROWS": "300",
            "MLOPS_TRAFFIC__REQUESTS_PER_SECOND": "200",
        }  # fmt: skip

    def seed(self) -> "DriftingWorld":
        super().seed()
        for table, source, rows in ((self.usual, "customers", ROWS), (self.moved, "customers_latest", LATER_ROWS)):
            self.sql(f"DROP TABLE IF EXISTS {table}")
            self.sql(f"CREATE TABLE {table} AS SELECT * FROM {source} ORDER BY customer_id LIMIT {rows}")
        publish_package(self.tools.minio, NAME, compile_pipeline(self.settings.kubeflow.image))
        return self

    def command(self, *args: str, script: str = "run_pipeline.py") -> list[str]:
        return [sys.executable, str(ROOT / "uc3_drift_retraining" / script), *args]

    def ended(self, *args: str, code: int = 0, script: str = "run_pipeline.py", **env: str) -> dict[str, Any]:
        """Run with --json; its steps by their numbers."""
        done: subprocess.CompletedProcess[str] = self.run(*args, "--json", script=script, **env)
        assert done.returncode == code, done.stderr[-3000:]
        return {step["step"][4:6]: step for step in json.loads(done.stdout)["steps"]}

    def lose_ledger(self) -> None:
        for path in self.state.glob("ledger.db*"):
            path.unlink()

    def numbers(self) -> list[str]:
        return [version.version for version in self.tools.mlflow.versions(self.model_name)]
