"""A world with somebody else's table: loaded, profiled and run by commands, as the how-to page says."""

import json
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.conftest import EmbeddedPlatform
from tests.uc1.universe import Universe


class OwnTable(Universe):
    """UC1 on a table of its own, with nothing but a configuration file."""

    def __init__(self, name: str, directory: Path, platform: EmbeddedPlatform) -> None:
        super().__init__(name, directory, platform.state)
        self.platform, self.config = platform, directory / f"{name}.yaml"
        del self.env["MLOPS_UC1__TABLE"]
        self.env["MLOPS_CONFIG_FILE"] = str(self.config)

    def load(self, file: Path, table: str) -> str:
        """`embedded load`; returns what it said."""
        done = self.platform.run("-m", "embedded", "load", str(file), "--table", table)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def profile(self, *args: str, **changes: Any) -> dict[str, Any]:
        """Write the proposed configuration, with these changes; returns its uc1 section."""
        done = self.platform.run("-m", "uc1_churn_prediction.profile_table", *args)
        assert done.returncode == 0, done.stderr
        proposed = yaml.safe_load(done.stdout)
        proposed["uc1"] |= changes
        self.config.write_text(yaml.safe_dump(proposed, allow_unicode=True))
        self.tools.minio.ensure_bucket()
        return dict(proposed["uc1"])

    def results(self) -> dict[str, Any]:
        """Run all of UC1; each step's result."""
        done = self.run("--json")
        assert done.returncode == 0, done.stderr[-3000:]
        return {step["step"][4:6]: step["result"] for step in json.loads(done.stdout)["steps"]}

    def ask(self, served: dict[str, Any], row: dict[str, Any]) -> float:
        """The served model's probability for a row."""
        address = f"{served['url']}/v1/models/{served['model_name']}:predict"
        answer = requests.post(address, json={"instances": [row]}, timeout=10)
        assert answer.status_code == 200, answer.text
        return float(answer.json()["predictions"][0])
