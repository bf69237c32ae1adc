"""What the tests of other people's tables share: files loaded into the session's database, and read back."""

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.postgres import Postgres
from common.settings import Settings
from embedded.load import Loaded, load


class Loader:
    """Loads texts and files as tables of names of their own."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.postgres, self.directory, self.made = Postgres(settings.postgres), directory, list[str]()

    def text(self, text: str | bytes, name: str = "file.csv") -> Loaded:
        """A file of this content, loaded."""
        path = self.directory / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return self.file(path)

    def file(self, path: Path, table: str = "") -> Loaded:
        self.made.append(table or f"t {uuid.uuid4().hex[:12]}")
        return load(self.postgres.settings, path, self.made[-1], self.directory / "scratch")

    def rows(self, loaded: Loaded) -> list[Any]:
        return [tuple(row) for row in self.sql(f'SELECT * FROM "{loaded.table}"')]

    def sql(self, statement: str) -> Any:
        with self.postgres.engine.begin() as connection:
            done = connection.exec_driver_sql(statement.replace("%", "%%"))
            return done.fetchall() if done.returns_rows else []


@pytest.fixture
def loader(settings: Settings, tmp_path: Path) -> Iterator[Loader]:
    made = Loader(settings, tmp_path)
    yield made
    for table in made.made:
        with contextlib.suppress(Exception):
            made.sql(f'DROP TABLE IF EXISTS "{table}"')
