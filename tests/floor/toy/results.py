"""Results of the toy pipeline, which the floor's tests run instead of a use case."""

from typing import ClassVar

from common.step import Dataset, Result, Section, Table


class Numbers(Result):
    """What stands in source.txt."""

    volatile: ClassVar[frozenset[str]] = frozenset({"read_at"})
    values: tuple[int, ...]
    read_at: str = ""

    def reads(self) -> tuple[Dataset, ...]:
        return (Dataset(kind="table", name="source.txt", rows=len(self.values)),)


class Total(Result):
    """Their sum, in total.txt. An odd one wants to be tried."""

    total: int

    @property
    def proposes(self) -> bool:
        return self.total % 2 == 1

    def summary(self) -> str:
        return f"total {self.total}"

    def sections(self) -> tuple[Section, ...]:
        row = ("<b>total</b>", str(self.total))
        return (Section(title="Sum & more", table=Table(columns=("name", "value"), rows=(row,))),)


class Told(Result):
    """The total was told to the world."""

    total: int

    def links(self) -> tuple[tuple[str, str], ...]:
        return (("Told", "http://127.0.0.1:1/told"),)


class Candidate(Result):
    """What is to be judged; version 0 is none, and version 9 cannot be looked at yet."""

    version: int

    @property
    def changed_nothing(self) -> bool:
        return self.version == 0

    @property
    def is_provisional(self) -> bool:
        return self.version == 9


class Verdict(Result):
    """What the gate found, whether it refused or not."""

    version: int

    def writes(self) -> tuple[Dataset, ...]:
        return (Dataset(kind="model", name=f"toy v{self.version}"),)

    def summary(self) -> str:
        return f"v{self.version} was looked at"

    def sections(self) -> tuple[Section, ...]:
        return (Section(title="What the gate saw", facts=(("version", str(self.version)),)),)

    def links(self) -> tuple[tuple[str, str], ...]:
        return (("Judged", f"http://127.0.0.1:1/v{self.version}"),)
