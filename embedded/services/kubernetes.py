"""The Kubernetes API that holds our InferenceServices, with the controllers that make them run."""

from __future__ import annotations

import os

from common.lock import RUN_MARK
from common.paths import ROOT
from embedded import ports
from embedded.addresses import Sections
from embedded.layout import Layout
from embedded.leftovers import MARK
from embedded.ports import PortRange
from embedded.secret_files import secret, secret_path
from embedded.services import probes
from embedded.units import Program, python


class Kubernetes:
    """The API server."""

    name = "kubernetes"
    waits_itself = False
    publishes: tuple[str, ...] = ("kubernetes", "prometheus")
    ports: PortRange | None = PortRange(8001)
    patience_seconds = 60.0

    def __init__(self, layout: Layout, needs: tuple[str, ...]) -> None:
        self.layout = layout
        self.needs = needs

    def install(self) -> None:
        """The token that clients must show. Raises ConfigError where the proxy of its model servers is missing."""
        from embedded.controllers.front_door import caddy

        caddy()
        secret(self.layout, "kubernetes")

    def program(self, port: int) -> Program:
        """It reads this project's settings itself; the addresses are named so that new ones mean a new start."""
        command = (python(), "-m", "embedded.kube_api", "--port", str(port), "--state-dir", str(self.layout.state))
        environment = {
            "MLOPS_STATE_DIR": str(self.layout.state),
            "STANDS_ON": ",".join(f"{need}:{ports.kept(self.layout, need)}" for need in self.needs),
        }
        return Program(self.name, command, str(ROOT), environment, _user_settings(), stop_seconds=8)

    def before_start(self) -> None:
        """Its objects are in a database that survives a kill."""

    def check(self, port: int) -> None:
        """Healthy by its own word."""
        probes.get(port, "/healthz")

    def prepare(self, port: int) -> None:
        """Nothing: its kubeconfig and its objects are its own."""

    def sections(self, port: int) -> Sections:
        """Where clients connect to."""
        token_file = str(secret_path(self.layout, "kubernetes"))
        server = f"http://127.0.0.1:{port}"
        return {
            "kubernetes": {"server": server, "token_file": token_file},
            "prometheus": {"url": f"{server}/sd/targets"},
        }


def _user_settings() -> dict[str, str]:
    """The user's MLOPS_ variables; not the marks by which runs and units find their processes."""
    marks = (RUN_MARK, MARK)
    return {name: value for name, value in os.environ.items() if name.startswith("MLOPS_") and name not in marks}
