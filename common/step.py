"""The step contract: a function whose inputs and output are small typed results.

    @step(needs=("minio",), settings=("uc1.expectations",))
    def run(tools: Tools, raw: RawCustomers) -> ValidCustomers:
        ...

Inputs are found by their types. Results point at data and never carry it. A module may also define
`observe(tools)`, a cheap read-only look at the world that the step touches; what it returns joins the key.
"""

import inspect
import sys
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from pydantic import BaseModel, ConfigDict

from common.keys import digest_of
from common.paths import ROOT

if TYPE_CHECKING:
    from common.settings import Settings
    from common.tools import Tools


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Assertion(_Frozen):
    """Something that was expected of a dataset, and whether it held; of one column where it is named."""

    name: str
    success: bool
    column: str = ""
    severity: str = ""


class Dataset(_Frozen):
    """Something read or written, by logical path.

    kind: table, object, data_repository, feature_view, model or service. `columns_from` holds pairs: a column here, and
    the column that it comes from in the first dataset that was read.
    """

    kind: str
    name: str
    digest: str = ""
    rows: int | None = None
    columns: tuple[tuple[str, str], ...] = ()
    columns_from: tuple[tuple[str, str], ...] = ()
    assertions: tuple[Assertion, ...] = ()


class Table(_Frozen):
    """A table for the report."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Section(_Frozen):
    """What the report shows of a result.

    Pictures are a caption and the s3:// URI of a PNG or SVG, which the page inlines. Pages are a label and the s3://
    URI of a self-contained HTML page, of which a copy is kept beside the report.
    """

    title: str
    text: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    table: Table | None = None
    links: tuple[tuple[str, str], ...] = ()
    pictures: tuple[tuple[str, str], ...] = ()
    pages: tuple[tuple[str, str], ...] = ()


class Result(_Frozen):
    """What a step returns: a pointer at data, small enough to read."""

    volatile: ClassVar[frozenset[str]] = frozenset()
    """Fields that do not make it another result: seconds, addresses of this machine."""

    def identity(self) -> str:
        """Digest of what this result is, without its volatile fields."""
        return digest_of(self._identifying())

    def _identifying(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in type(self).model_fields if name not in self.volatile}
        nested = {name: v.identity() for name, v in values.items() if isinstance(v, Result)}
        return {**self.model_dump(mode="json", include=set(values) - set(nested)), **nested}

    def differs(self, settings: "Settings") -> str:  # noqa: ARG002 - for those that are about something
        """What it is about where that is not what the settings name, such as another table; else ""."""
        return ""

    @property
    def changed_nothing(self) -> bool:
        """True where the step looked and found nothing to do: it counts as unchanged although it ran."""
        return False

    @property
    def is_provisional(self) -> bool:
        """True where the step had to leave its work to a later run: the next one runs it again, whatever it sees."""
        return False

    @property
    def proposes(self) -> bool:
        """True where it made something that waits to be tried, such as a model version for a canary."""
        return False

    def reads(self) -> tuple[Dataset, ...]:
        """The datasets that were read to make it."""
        return ()

    def writes(self) -> tuple[Dataset, ...]:
        """The datasets that were written."""
        return ()

    def summary(self) -> str:
        """One line for the table at the end of a run."""
        return ""

    def text(self) -> str:
        """What a person reads on the terminal where this result's own pipeline ran; more than its one line."""
        return ""

    def sections(self) -> tuple[Section, ...]:
        """What the report shows."""
        return ()

    def links(self) -> tuple[tuple[str, str], ...]:
        """Label and URL, path or command: where to look at it, for the end of a run."""
        return ()


def of_another_model(name: str, settings: "Settings") -> str:
    """Result.differs of what is about a model."""
    wanted = settings.uc1.model_name
    return "" if name == wanted else f"is about model {name}, not {wanted}"


@dataclass(frozen=True)
class Step:
    """A declared step. Calling it calls the function; the rest is what the runner needs to know of it."""

    function: Callable[..., Result]
    needs: tuple[str, ...]
    settings: tuple[str, ...]
    deadline_seconds: float
    always: bool

    def __call__(self, tools: "Tools", *inputs: Result) -> Result:
        return self.function(tools, *inputs)

    @property
    def path(self) -> Path:
        """The file that defines it."""
        return Path(inspect.getfile(self.function)).resolve()

    @property
    def file(self) -> str:
        """That file as the checkout knows it; its name where it is outside."""
        return self.path.relative_to(ROOT).as_posix() if self.path.is_relative_to(ROOT) else self.path.name

    @property
    def name(self) -> str:
        """The script's name without .py, such as uc1_03_data_validation_ge."""
        return self.path.stem

    @property
    def number(self) -> str:
        """The number in its name, such as 03."""
        return self.name.split("_")[1]

    @property
    def promise(self) -> str:
        """The first line of the module's docstring."""
        return (inspect.getdoc(sys.modules[self.function.__module__]) or self.name).splitlines()[0]

    def inputs(self) -> tuple[type[Result], ...]:
        """The result types it asks for, in order."""
        hints = typing.get_type_hints(self.function, localns=_localns())
        names = list(inspect.signature(self.function).parameters)[1:]
        return tuple(hints[name] for name in names)

    def output(self) -> type[Result]:
        """The result type it returns."""
        return cast(type[Result], typing.get_type_hints(self.function, localns=_localns())["return"])

    def observe(self, tools: "Tools") -> Any:
        """Look at the world, where the module says how; None where it does not."""
        look = getattr(sys.modules[self.function.__module__], "observe", None)
        return look(tools) if look else None


def step(
    *,
    needs: tuple[str, ...] = (),
    settings: tuple[str, ...] = (),
    deadline_seconds: float = 900,
    always: bool = False,
) -> Callable[[Callable[..., Any]], Step]:
    """Declare a step: which tools it uses, which settings change its outcome, how long it may take.

    `always` is for a step whose input is the world itself: it runs each time, and counts as unchanged when its
    result is the one of last time.
    """

    def declare(function: Callable[..., Any]) -> Step:
        return Step(function, needs, settings, deadline_seconds, always)

    return declare


def _localns() -> dict[str, Any]:
    from common.tools import Tools

    return {"Tools": Tools}
