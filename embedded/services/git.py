"""Two bare git repositories, reached by file URL: one for data versions, one for deployments. No process."""

from __future__ import annotations

import shutil
from pathlib import Path

from common.errors import ConfigError
from common.process import run_command
from embedded.addresses import Sections
from embedded.layout import Layout
from embedded.ports import PortRange
from embedded.units import Program

REPOSITORIES = ("data", "deployments")


class Git:
    """The repositories."""

    name = "git"
    needs: tuple[str, ...] = ()
    waits_itself = False
    publishes: tuple[str, ...] = ("dvc", "git")
    ports: PortRange | None = None
    patience_seconds = 10.0

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def install(self) -> None:
        """Create what is missing, aside first: a repository is whole or not there."""
        (self.layout.embedded / "git").mkdir(exist_ok=True)
        for name in REPOSITORIES:
            if not self._path(name).exists():
                self._create(self._path(name))

    def program(self, port: int) -> Program:
        """There is none."""
        raise NotImplementedError("the repositories are files")

    def before_start(self) -> None:
        """Nothing starts."""

    def check(self, port: int) -> None:
        """Files are there once installed."""

    def prepare(self, port: int) -> None:
        """They start empty; their first commit is a step's."""

    def sections(self, port: int) -> Sections:  # noqa: ARG002 (a file URL has none)
        """Their URLs."""
        return {
            "dvc": {"git_url": self._path("data").as_uri()},
            "git": {"deployments_url": self._path("deployments").as_uri()},
        }

    def _path(self, name: str) -> Path:
        return self.layout.embedded / "git" / f"{name}.git"

    def _create(self, path: Path) -> None:
        aside = path.with_suffix(".new")
        shutil.rmtree(aside, ignore_errors=True)
        environment = {**self.layout.clean_environment(), "GIT_CONFIG_NOSYSTEM": "1"}
        made = ["git", "init", "--quiet", "--bare", "--template=", "--initial-branch=main", "--", str(aside)]
        # It is the only copy, and a pusher's own setting does not reach the side that receives.
        durable = ["git", "config", "--file", str(aside / "config"), "core.fsync", "all"]
        try:
            for command in (made, durable):
                run_command(command, deadline_seconds=20, env=environment)
        except FileNotFoundError:
            raise ConfigError("git is not installed, or not in PATH.", "Install git.") from None
        aside.rename(path)
