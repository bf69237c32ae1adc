"""What UC4's steps return: whether the server has all lineage that is due, and what depends on what."""

from typing import ClassVar

from common.step import Result, Section
from uc4_data_lineage import shown


class DeadLetter(Result):
    """An event that the server refused for good, and why."""

    job: str
    type: str
    run_id: str
    status: int
    said: str


class LineageStored(Result):
    """Every event that is due is stored; those that were refused are named.

    `mended` is where in the ledger this step last had to send what the server lacked: the counts grow with every run,
    this and the dead letters do not.
    """

    volatile: ClassVar[frozenset[str]] = frozenset({"server", "due", "stored", "sent", "doubled", "since"})

    server: str
    namespace: str
    due: int
    stored: int
    sent: int
    doubled: int
    since: str
    mended: int = 0
    dead: tuple[DeadLetter, ...] = ()

    def summary(self) -> str:
        parts = [f"{self.stored:,} of {self.due:,} events stored"]
        parts += [f"{self.sent:,} sent now"] if self.sent else []
        parts += [f"{len(self.dead):,} refused"] if self.dead else []
        return ", ".join(parts)

    def sections(self) -> tuple[Section, ...]:
        return (shown.stored(self),)

    def links(self) -> tuple[tuple[str, str], ...]:
        return (("Lineage", self.server),)


class Known(Result):
    """A node of the graph: a dataset, or a step."""

    id: str
    kind: str
    name: str
    namespace: str
    version: str = ""


class Versions(Result):
    """The versions of a model that are in the registry: those that are in use or may be, and how many were before."""

    model: str
    alive: tuple[tuple[str, str], ...]
    others: int = 0


class Impact(Result):
    """The graph around a dataset, model, service or step, and what follows when it changes. Times are no part of it."""

    volatile: ClassVar[frozenset[str]] = frozenset({"page", "picture", "written"})

    focus: str
    node: str
    direction: str
    depth: int
    nodes: tuple[Known, ...]
    edges: tuple[tuple[str, str], ...]
    versions: tuple[Versions, ...] = ()
    sentence: str = ""
    written: str = ""
    page: str = ""
    picture: str = ""

    def summary(self) -> str:
        return self.sentence

    def text(self) -> str:
        return self.written

    def sections(self) -> tuple[Section, ...]:
        return (shown.impact(self),)
