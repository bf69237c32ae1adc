"""The lineage server: Marquez's API over the embedded PostgreSQL, with the graph as a page at its root."""

from __future__ import annotations

from common.paths import ROOT
from embedded import ports
from embedded.addresses import Sections
from embedded.layout import Layout
from embedded.ports import PortRange
from embedded.secret_files import secret
from embedded.services import postgres, probes
from embedded.units import Program, python


class Marquez:
    """The server that lineage goes to."""

    name = "marquez"
    needs: tuple[str, ...] = ("postgres",)
    waits_itself = True
    publishes: tuple[str, ...] = ("marquez",)
    ports: PortRange | None = PortRange(5050)
    patience_seconds = 120.0

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def install(self) -> None:
        """Nothing: its files are a database."""

    def program(self, port: int) -> Program:
        """Our server; the password is in the environment, as command lines are public."""
        command = (python(), "-m", "embedded.lineage_server", "--port", str(port))
        environment = {
            "LINEAGE_DB_PORT": str(ports.kept(self.layout, "postgres")), "LINEAGE_DB_USER": postgres.USER,
            "LINEAGE_DB_PASSWORD": secret(self.layout, "postgres"), "LINEAGE_DB_NAME": postgres.MARQUEZ_DATABASE,
        }  # fmt: skip
        return Program(self.name, command, str(ROOT), environment)

    def before_start(self) -> None:
        """Nothing lies around between two lives."""

    def check(self, port: int) -> None:
        """An answer out of the database."""
        probes.get(port, "/api/v1/namespaces?limit=1")

    def prepare(self, port: int) -> None:
        """Nothing: the server makes its tables before it listens."""

    def sections(self, port: int) -> Sections:
        """Where clients connect to; also the address of its page."""
        return {"marquez": {"url": f"http://127.0.0.1:{port}"}}
