"""A world of its own on the session's one platform: own state, bucket, data repository, model, namespace, table.

So that a test can kill, break and delete as it likes, and two worlds can be compared.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from common.config import ROOT, load_settings
from common.settings import Settings
from common.tools import Tools

BY_THE_CLOCK = ("predictions/", "data-docs/", "audit/")  # named by times: of requests, of validation, of the ledger
NO_HOME = "/proc/no-home"  # nobody can make it or write there, root included
STEPS = {path.name[:6]: path.stem for path in sorted(ROOT.glob("uc1_churn_prediction/uc1_0*.py"))}


class Universe:
    """Runs UC1's scripts as a user would, in a world of its own."""

    def __init__(self, name: str, directory: Path, platform_state: Path) -> None:
        self.name = name
        self.state = directory / name
        self.state.mkdir(mode=0o700)
        self._publish_addresses(platform_state)
        self.env: dict[str, str] = {
            "PATH": os.environ["PATH"], "HOME": NO_HOME, "LANG": "C.UTF-8", "MLOPS_STATE_DIR": str(self.state),
            "MLOPS_MINIO__BUCKET": f"bucket-{name}", "MLOPS_UC1__MODEL_NAME": f"model-{name}",
            "MLOPS_UC1__NAMESPACE": f"models-{name}", "MLOPS_FEAST__PROJECT": f"project_{name}",
            "MLOPS_UC1__TABLE": f"customers_{name}", "MLOPS_MARQUEZ__NAMESPACE": f"mlops-{name}",
        }  # fmt: skip

    def _publish_addresses(self, platform_state: Path) -> None:
        addresses = yaml.safe_load((platform_state / "addresses.yaml").read_text())
        repository = self.state / "data.git"
        subprocess.run(["git", "init", "--quiet", "--bare", str(repository)], check=True)
        addresses["dvc"] = {"git_url": repository.as_uri()}
        (self.state / "addresses.yaml").write_text(yaml.safe_dump(addresses))
        shutil.copy(platform_state / "seeded.yaml", self.state)

    @property
    def settings(self) -> Settings:
        before = dict(os.environ)
        os.environ.update(self.env)
        try:
            return load_settings()
        finally:
            os.environ.clear()
            os.environ.update(before)

    @property
    def tools(self) -> Tools:
        return Tools(self.settings)

    def prepare(self, rows: int = 2000) -> "Universe":
        """Make the bucket and a table with the first customers."""
        self.tools.minio.ensure_bucket()
        self.sql(f"DROP TABLE IF EXISTS customers_{self.name}")
        self.sql(f"CREATE TABLE customers_{self.name} AS SELECT * FROM customers ORDER BY customer_id LIMIT {rows}")
        return self

    def sql(self, statement: str) -> Any:
        import sqlalchemy as sa

        engine = sa.create_engine(self.settings.postgres.url(), poolclass=sa.NullPool)
        with engine.begin() as connection:
            done = connection.execute(sa.text(statement))
            return done.fetchall() if done.returns_rows else None

    def command(self, *args: str, script: str = "run_pipeline.py") -> list[str]:
        path = ROOT / script if script == "run_all.py" else ROOT / "uc1_churn_prediction" / script
        return [sys.executable, str(path), *args]

    def run(self, *args: str, script: str = "run_pipeline.py", **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*args, script=script), env={**self.env, **env}, cwd="/", capture_output=True, text=True,
            timeout=280,
        )  # fmt: skip

    def start(self, *args: str, script: str = "run_pipeline.py", **env: str) -> subprocess.Popen[bytes]:
        """Start a run in the background; what it prints goes to a file, as no orphan may hold a pipe of ours."""
        with (self.state / "output.txt").open("ab") as output:
            return subprocess.Popen(
                self.command(*args, script=script), env={**self.env, **env}, cwd="/", stdout=output, stderr=output,
            )  # fmt: skip

    def states(self, *args: str, **env: str) -> dict[str, str]:
        """Run with --json and give each step's state; a failed run shows what it printed."""
        done = self.run(*args, "--json", **env)
        assert done.returncode == 0, done.stderr[-3000:]
        return {step["step"][4:6]: step["state"] for step in json.loads(done.stdout)["steps"]}

    def world(self) -> dict[str, Any]:
        """Everything that a run leaves outside its ledger, with this universe's own names, and the keys that they
        lead to, replaced: two universes that went the same way look the same."""
        tools, settings = self.tools, self.settings
        name = settings.uc1.model_name
        versions = [(v.version, v.algorithm, v.state, v.digest, v.gate) for v in tools.mlflow.versions(name)]
        champion, candidate = tools.mlflow.champion(name), tools.mlflow.candidate(name)
        service = tools.kserve.live(settings.uc1.namespace, name) or {}
        world = {
            "versions": sorted(versions),
            "champion": champion and champion.version,
            "candidate": candidate and candidate.version,
            "objects": sorted(each.key for each in tools.minio.list("") if not each.key.startswith(BY_THE_CLOCK)),
            "commits": self.git("log", "--format=%s", "main"),
            "pointer": self.git("show", "main:raw/customers.parquet.dvc"),
            "service": service.get("spec"),
        }
        anonymous = re.sub(r"evaluations/[0-9a-f]{64}", "evaluations/KEY", json.dumps(world))
        return dict(json.loads(anonymous.replace(self.name, "NAME")))

    def git(self, *args: str) -> str:
        repository = str(self.state / "data.git")
        return subprocess.run(["git", "-C", repository, *args], capture_output=True, text=True, check=False).stdout
