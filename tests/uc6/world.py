"""Registered models, a deployments repository and namespaces of their own, on the session's one platform."""

import io
import subprocess
import uuid
from pathlib import Path
from typing import Any

import yaml

from common.config import ROOT
from common.registry import Version
from common.settings import Settings
from common.tools import Context, Tools
from tests.serving.kube import until
from tests.uc2.world import Model, World, people, trained
from uc6_gitops_deployment import uc6_01_promote_model_git as promotion
from uc6_gitops_deployment import uc6_02_sync_argocd as sync
from uc6_gitops_deployment.results import PromotedModel, SyncedDeployment

Document = dict[str, Any]


class Deployments(World):
    """Version 1 is champion, version 2 a challenger; both passed both gates. Nothing is deployed yet."""

    def __init__(self, name: str, directory: Path, platform_state: Path) -> None:
        super().__init__(name, directory, platform_state)
        addresses = yaml.safe_load((self.state / "addresses.yaml").read_text())
        self.repository = self.state / "deployments.git"
        subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", str(self.repository)], check=True)
        addresses["git"] = {"deployments_url": self.repository.as_uri()}
        (self.state / "addresses.yaml").write_text(yaml.safe_dump(addresses))
        self.env |= {
            "MLOPS_UC6__NAMESPACES__PRODUCTION": f"production-{name}",
            "MLOPS_UC6__NAMESPACES__STAGING": f"staged-{name}",
        }

    def seed(self) -> "Deployments":
        """Publish and register; nothing is served."""
        tools = self.tools
        tools.minio.ensure_bucket()
        parquet = io.BytesIO()
        people().to_parquet(parquet, index=False)
        self.data_uri = tools.minio.put_bytes("raw/customers/seeded.parquet", parquet.getvalue())
        for model in trained():
            self.register(model)
        tools.mlflow.settle(self.model_name)
        return self

    def register(self, model: Model, **tags: str) -> Version:
        """As UC1 leaves a version that UC5 has judged as well."""
        judged = {"fairness_gate": "passed", "fairness_gate_digest": model.digest, "data_digest": "d" * 64}
        return super().register(model, **{**judged, **tags})

    def command(self, *args: str, script: str = "run_pipeline.py") -> list[str]:
        command = super().command(*args, script=script)
        return [command[0], str(ROOT / "uc6_gitops_deployment" / script), *args]

    def tools_for(self, **uc6: Any) -> Tools:
        """Tools of one invocation, with flags."""
        settings = self.settings
        changed = settings.uc6.model_validate({**settings.uc6.model_dump(), **uc6})
        return Tools(settings.model_copy(update={"uc6": changed}), Context(key=f"key-{uuid.uuid4()}"))

    def promote(self, **uc6: Any) -> PromotedModel:
        made = promotion.run(self.tools_for(**uc6))
        assert isinstance(made, PromotedModel)
        return made

    def sync(self, promoted: PromotedModel | None = None, **uc6: Any) -> SyncedDeployment:
        """Step 2; what step 1 found is looked up by step 2 itself, in git."""
        none = PromotedModel(model_name=self.model_name, environment="production", namespace=self.production)
        made = sync.run(self.tools_for(**uc6), promoted or none)
        assert isinstance(made, SyncedDeployment)
        return made

    @property
    def production(self) -> str:
        return self.settings.uc6.namespaces["production"]

    # The world as people see it

    def commits(self) -> list[str]:
        """Subjects, newest first."""
        return self.at_remote("log", "--format=%s", "main").splitlines()

    def at_remote(self, *args: str) -> str:
        done = subprocess.run(["git", "-C", str(self.repository), *args], capture_output=True, text=True, check=False)
        return done.stdout

    def by_hand(self, files: dict[str, str | None], message: str = "by hand") -> str:
        """Somebody else's commit."""
        clone = self.state / f"clone-{uuid.uuid4().hex[:8]}"
        run = ["git", "-c", "user.name=ada", "-c", "user.email=ada@example.com", "-C", str(clone)]
        subprocess.run(["git", "clone", "--quiet", str(self.repository), str(clone)], check=True, capture_output=True)
        for path, text in files.items():
            if text is None:
                (clone / path).unlink()
            else:
                (clone / path).parent.mkdir(parents=True, exist_ok=True)
                (clone / path).write_text(text)
        subprocess.run([*run, "add", "--all"], check=True)
        subprocess.run([*run, "commit", "--quiet", "--allow-empty", "-m", message], check=True)
        subprocess.run([*run, "push", "--quiet", "origin", "HEAD:main"], check=True, capture_output=True)
        return self.at_remote("rev-parse", "main").strip()

    def overlay(self, name: str = "inference-service.yaml") -> Document:
        loaded: Document = yaml.safe_load(self.at_remote("show", f"main:overlays/production/{name}"))
        return loaded

    @property
    def kube(self) -> Any:
        return self.tools.kubernetes

    def application(self) -> Document:
        found: Document | None = self.kube.get("Application", f"{self.service}-production", "argocd")
        return found or {}

    def live(self) -> Document | None:
        found: Document | None = self.kube.get("InferenceService", self.service, self.production)
        return found

    def until_application(self, **wanted: str) -> Document:
        """Wait for words such as health="Degraded"."""

        def is_so() -> Document | None:
            live = self.application()
            status = live.get("status", {})
            words = {part: status.get(part, {}).get("status") for part in wanted}
            return live if words == wanted else None

        found: Document = until(is_so, seconds=60)
        return found

    def golden(self) -> tuple[str, ...]:
        """Digests that answer at production's endpoint."""
        import json

        rows = json.loads(trained()[0].files["golden.json"])["rows"]
        return tuple({self.tools.kserve.predict(self.production, self.service, rows).digest})

    def version(self, number: int) -> Version:
        found = self.tools.mlflow.version(self.model_name, number)
        assert found is not None
        return found


__all__ = ["Deployments", "Settings"]
