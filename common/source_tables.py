"""What the configuration asks to be extracted: UC1's source, or several tables of the same columns as one."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from common.errors import ConfigError, InvalidData
from common.postgres import Postgres, Source, select_from, source_of

if TYPE_CHECKING:
    from common.extract import Wanted
    from common.settings_uc1 import Uc1


def wanted_of(uc1: "Uc1") -> "Wanted":
    """UC1's source, up to uc1.as_of. Raises ConfigError where the configuration contradicts itself."""
    if uc1.as_of and not uc1.event_time:
        raise ConfigError("uc1.as_of is set but uc1.event_time is not: as of when?", "Name the time column.")
    from dataclasses import replace

    return replace(_wanted(uc1, source_of(uc1)), as_of=uc1.as_of)


def wanted_from(postgres: Postgres, uc1: "Uc1", tables: Sequence[str]) -> "Wanted":
    """All rows of these tables, or without any of UC1's own source; whatever uc1.as_of says: what is fresh is later.

    Raises as wanted_of does.
    """
    return _wanted(uc1, union_of(postgres, tables) if tables else source_of(uc1))


def union_of(postgres: Postgres, tables: Sequence[str]) -> Source:
    """The rows of these tables under the columns of the first. Raises InvalidData where one lacks a column."""
    import sqlalchemy as sa
    from sqlalchemy.dialects.postgresql.base import PGDialect

    from common.source_columns import describe

    if len(tables) == 1:
        return Source(table=tables[0])
    columns = [column.name for column in describe(postgres, Source(table=tables[0]))]
    for table in tables[1:]:
        known = {column.name for column in describe(postgres, Source(table=table))}
        if missing := [name for name in columns if name not in known]:
            raise InvalidData(f"Table {table} lacks {', '.join(missing)}, which table {tables[0]} has.")
    selects: Iterator[Any] = (
        sa.select(*(sa.column(name) for name in columns)).select_from(select_from(postgres, Source(table=table)))
        for table in tables
    )
    dialect = PGDialect(paramstyle="named")  # type: ignore[no-untyped-call]
    return Source(query=str(sa.union_all(*selects).compile(dialect=dialect)))


def _wanted(uc1: "Uc1", source: Source) -> "Wanted":
    from common.extract import Wanted

    if not uc1.label:
        raise ConfigError("uc1.label is not set: no column is named as the label.", "Set it in config.yaml.")
    needed = tuple(name for name in (uc1.entity, uc1.label, uc1.event_time) if name)
    _refuse_two_roles(uc1)
    limits = uc1.expectations
    spoken = (*needed, *uc1.numeric, *uc1.categorical, *uc1.ordered, *uc1.sensitive, *limits.required, *limits.ranges,
              *limits.sets)  # fmt: skip
    if lost := sorted(set(spoken) & set(uc1.dropped)):
        raise ConfigError(f"uc1.dropped drops {lost[0]}, which the configuration speaks of elsewhere.",
                          "Take it off uc1.dropped, or off the other place.")  # fmt: skip
    return Wanted(source, needed, dropped=uc1.dropped, event_time=uc1.event_time)


def _refuse_two_roles(uc1: "Uc1") -> None:
    """Raise ConfigError where a column is said to be two things, such as feature and label."""
    roles = {"uc1.entity": uc1.entity, "uc1.label": uc1.label, "uc1.event_time": uc1.event_time}
    said = [(role, name) for role, name in roles.items() if name]
    said += [("uc1.numeric", name) for name in uc1.numeric] + [("uc1.categorical", name) for name in uc1.categorical]
    for at, (role, name) in enumerate(said):
        earlier = next((other for other, same in said[:at] if same == name), None)
        if earlier:
            raise ConfigError(f"{earlier} and {role} both name {name}: it can be one of them.", "Take it off one.")
    for name, values in uc1.ordered.items():
        if (uc1.numeric or uc1.categorical) and name not in uc1.categorical:
            raise ConfigError(f"uc1.ordered orders {name}, which uc1.categorical does not name.", "Add it there.")
        if len(set(values)) < len(values) or not values:
            raise ConfigError(f"uc1.ordered names no value of {name}, or one twice.", "Give each value once.")
