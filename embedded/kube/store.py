"""Objects and their history in one SQLite file: what was stored survives a crash of the server.

Every write gets the next resourceVersion, counted over all kinds, and one row of history, which watches read.
History is kept for the newest KEPT_EVENTS writes; who asks for older ones is told that they are gone.
"""

import asyncio
import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedded.kube.kinds import Kind

KEPT_EVENTS = 2000
Document = dict[str, Any]

_TABLES = """
CREATE TABLE IF NOT EXISTS objects (
    resource TEXT, namespace TEXT, name TEXT, body TEXT NOT NULL, PRIMARY KEY (resource, namespace, name)) STRICT;
CREATE TABLE IF NOT EXISTS events (
    version INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT, resource TEXT, namespace TEXT, body TEXT) STRICT;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
"""


@dataclass(frozen=True)
class Event:
    """One write, as a watch shows it. `type` is ADDED, MODIFIED or DELETED."""

    version: int
    type: str
    object: Document


class Store:
    """Used from one event loop: every method is one transaction, and nothing awaits inside it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_TABLES)
        self._waiting: set[asyncio.Event] = set()

    def close(self) -> None:
        """Close the file; waiting watches end."""
        self._announce()
        self._db.close()

    def get(self, kind: Kind, namespace: str, name: str) -> Document | None:
        """The object, or None."""
        row = self._db.execute(
            "SELECT body FROM objects WHERE resource=? AND namespace=? AND name=?",
            (kind.resource, namespace, name),
        ).fetchone()
        return json.loads(row[0]) if row else None

    def all(self, kind: Kind, namespace: str = "") -> list[Document]:
        """All objects of a kind, of one namespace or of every one, in order of their names."""
        rows = self._db.execute(
            "SELECT body FROM objects WHERE resource=? AND ? IN ('', namespace) ORDER BY namespace, name",
            (kind.resource, namespace),
        )
        return [json.loads(body) for (body,) in rows]

    def put(self, kind: Kind, document: Document, event_type: str) -> Document:
        """Write the object and its event; returns it with its new resourceVersion."""
        metadata = document["metadata"]
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            stored, body = self._add_event(kind, document, event_type)
            self._db.execute(
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)",
                (kind.resource, metadata.get("namespace", ""), metadata["name"], body),
            )
        self._announce()
        return stored

    def remove(self, kind: Kind, document: Document) -> Document:
        """Delete the object; the event carries its last state."""
        metadata = document["metadata"]
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            stored, _ = self._add_event(kind, document, "DELETED")
            self._db.execute(
                "DELETE FROM objects WHERE resource=? AND namespace=? AND name=?",
                (kind.resource, metadata.get("namespace", ""), metadata["name"]),
            )
        self._announce()
        return stored

    def _add_event(self, kind: Kind, document: Document, event_type: str) -> tuple[Document, str]:
        namespace = document["metadata"].get("namespace", "")
        cursor = self._db.execute(
            "INSERT INTO events (type, resource, namespace) VALUES (?, ?, ?)",
            (event_type, kind.resource, namespace),
        )
        version = cursor.lastrowid or 0
        stored = {**document, "metadata": {**document["metadata"], "resourceVersion": str(version)}}
        body = json.dumps(stored, separators=(",", ":"))
        self._db.execute("UPDATE events SET body=? WHERE version=?", (body, version))
        self._db.execute("DELETE FROM events WHERE version<=?", (version - KEPT_EVENTS,))
        return stored, body

    def version(self) -> int:
        """The newest resourceVersion."""
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name='events'").fetchone()
        return int(row[0]) if row else 0

    def oldest(self) -> int:
        """The oldest resourceVersion that a watch can still start from."""
        return max(0, self.version() - KEPT_EVENTS)

    def events_after(self, version: int, kind: Kind, namespace: str = "") -> list[Event]:
        """The writes of a kind that came after a resourceVersion."""
        rows = self._db.execute(
            "SELECT version, type, body FROM events WHERE version>? AND resource=? AND ? IN ('', namespace)"
            " ORDER BY version",
            (version, kind.resource, namespace),
        )
        return [Event(number, event_type, json.loads(body)) for number, event_type, body in rows]

    def note(self, name: str, value: Any) -> None:
        """Remember something that is not an object, such as a port that was given out. None forgets it."""
        if value is None:
            self._db.execute("DELETE FROM notes WHERE name=?", (name,))
        else:
            self._db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, json.dumps(value)))

    def noted(self, name: str) -> Any:
        """What was noted under this name, or None."""
        row = self._db.execute("SELECT body FROM notes WHERE name=?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    async def changed(self, since: int, seconds: float) -> None:
        """Return as soon as there is a newer version than `since`, or after so many seconds."""
        if self.version() > since:
            return
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(event)

    def _announce(self) -> None:
        for event in self._waiting:
            event.set()
