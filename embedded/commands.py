"""What each command of the program does: progress on stderr, data on stdout, the exit code returned."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from common.settings import Settings
from embedded import addresses, selection
from embedded.layout import Layout
from embedded.platform import Platform
from embedded.services.service import Service


def tell(line: str) -> None:
    """A line for people; they are on stderr, so that stdout is data."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


class Commands:
    """One method a command, named like it."""

    def __init__(self, layout: Layout, settings: Settings, services: Sequence[Service]) -> None:
        self.layout = layout
        self.settings = settings
        self.services = services
        self.platform = Platform(layout, services, tell)

    def up(self, only: str, json: bool) -> int:
        """Start services, or find them running."""
        asked = [name.strip() for name in only.split(",") if name.strip()]
        names, not_embedded = selection.chosen_names(self.settings, asked)
        for name in not_embedded:
            tell(f"{name:<11} not embedded here: skipped")
        self.platform.up(names)
        if json:
            _print_json(addresses.published(self.layout))
        return 0

    def down(self) -> int:
        """Stop everything, also what is no longer configured."""
        if not self.platform.down():
            tell("nothing was running")
        return 0

    def status(self, json: bool) -> int:
        """Show how the services are."""
        from embedded import status

        embedded = set(selection.embedded_names(self.settings))
        rows = [status.look(self.layout, service, service.name in embedded) for service in self.services]
        if json:
            _print_json([row.as_data() for row in rows])
        else:
            status.show(rows)
        return 0

    def load(self, file: str, table: str) -> int:
        """Make a file a table, starting PostgreSQL where it is down."""
        from pathlib import Path

        from common.config import load_settings
        from common.errors import ConfigError
        from embedded.load import load, refuse_name

        refuse_name(table)
        if not self.settings.postgres.embedded:
            raise ConfigError("postgres is not embedded here: `load` fills the laptop's own database only.",
                              "Load the file with the tools of your server.")  # fmt: skip
        self.platform.up(["postgres"])
        loaded = load(load_settings().postgres, Path(file), table, self.layout.state / "cache" / "load")
        for line in loaded.lines():
            tell(line)
        return 0

    def prune(self) -> int:
        """Remove what may be removed, and say what."""
        from embedded import cleanup

        for line in cleanup.prune(self.layout) or ["nothing to remove"]:
            tell(line)
        return 0

    def reset(self, yes: bool) -> int:
        """Stop everything and delete all data, after asking."""
        from embedded import cleanup

        cleanup.confirm(self.layout, yes)
        self.platform.down(afterwards=self._delete)
        return 0

    def _delete(self) -> None:
        from embedded import cleanup

        for line in cleanup.reset(self.layout):
            tell(line)


def _print_json(data: object) -> None:
    sys.stdout.write(json.dumps(data, indent=2) + "\n")
