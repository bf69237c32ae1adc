"""Which revisions run, and which of them answers: decided from the spec, from what is ready, and from what was before.

The rules are KServe's: only what is ready gets requests; what failed to load changes nothing. Pure functions.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from embedded.controllers.asked import Asked
from embedded.controllers.revisions import Revision

IsReady = Callable[[Revision], bool]


@dataclass(frozen=True)
class Memory:
    """What has to be known after a restart; status tells it under Knative's names.

    `latest_ready` was the newest revision that became ready, `rolled_out` the last that had all requests.
    """

    latest_ready: Revision | None = None
    rolled_out: Revision | None = None
    previous: str = ""

    def to_note(self) -> dict[str, Any]:
        """For keeping it across restarts."""
        latest, rolled_out = (each.to_json() if each else None for each in (self.latest_ready, self.rolled_out))
        return {"revision": latest, "rolled_out": rolled_out, "previous": self.previous}

    @classmethod
    def from_note(cls, note: dict[str, Any]) -> "Memory":
        """The inverse of to_note."""
        latest, rolled_out = note.get("revision"), note.get("rolled_out") or note.get("revision")
        return cls(
            Revision.from_json(latest) if latest else None,
            Revision.from_json(rolled_out) if rolled_out else None,
            note.get("previous", ""),
        )


@dataclass(frozen=True)
class Decision:
    """`percent` of the requests go to the canary, the others to the champion. `kept` are all that have to run."""

    memory: Memory
    champion: Revision | None
    canary: Revision | None
    percent: int
    kept: tuple[Revision, ...]


def decide(asked: Asked, memory: Memory, is_ready: IsReady) -> Decision:
    """What to do now."""
    if asked.revision is not None and is_ready(asked.revision):
        memory = replace(memory, latest_ready=asked.revision)
    if asked.mode == "Knative" and asked.percent not in (None, 100) and memory.rolled_out is not None:
        return _split_knative(asked, memory, is_ready)
    if asked.revision == memory.latest_ready != memory.rolled_out:
        previous = memory.rolled_out.name if memory.rolled_out else ""
        memory = Memory(memory.latest_ready, memory.latest_ready, previous)
    canary, percent = (asked.canary.revision, asked.canary.percent) if asked.canary else (None, 0)
    kept = _distinct(asked.revision, memory.latest_ready, canary)
    return Decision(memory, memory.latest_ready, canary, percent if canary and is_ready(canary) else 0, kept)


def _split_knative(asked: Asked, memory: Memory, is_ready: IsReady) -> Decision:
    """The share goes to the latest ready revision, all else stays with the one that was rolled out last."""
    champion, canary, percent = memory.rolled_out, memory.latest_ready, asked.percent or 0
    if canary is None or canary == champion:
        return Decision(memory, champion, None, 0, _distinct(champion, asked.revision))
    kept = _distinct(champion, asked.revision, canary if percent else None)
    return Decision(memory, champion, canary, percent if is_ready(canary) else 0, kept)


def _distinct(*revisions: Revision | None) -> tuple[Revision, ...]:
    return tuple(dict.fromkeys(each for each in revisions if each is not None))
