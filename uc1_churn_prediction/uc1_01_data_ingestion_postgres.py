"""UC1 step 1: take a snapshot of the source table.

Reads    the table (or query) that the configuration names, up to uc1.as_of, from PostgreSQL
Writes   raw/customers/<digest>.parquet, and a copy of it at uc1.raw_data_path, to object storage
Returns  RawCustomers
Raises   EmptyExtract (exit 65) for a table without rows, InvalidData (65) for a missing table or column

Always runs: only reading tells whether the table changed. Equal rows give the same digest, so that the steps after
it stay unchanged.

Run it alone:  python uc1_churn_prediction/uc1_01_data_ingestion_postgres.py
"""

from typing import TYPE_CHECKING

from common.errors import ConfigError
from common.step import step
from uc1_churn_prediction.results import ROW_NUMBER, Column, RawCustomers

if TYPE_CHECKING:
    from common.extract import Wanted
    from common.settings_uc1 import Uc1
    from common.tools import Tools


@step(
    needs=("postgres", "minio"),
    settings=("uc1.table", "uc1.query", "uc1.entity", "uc1.label", "uc1.event_time", "uc1.as_of", "uc1.dropped",
              "uc1.raw_data_path", "minio.bucket"),
    deadline_seconds=1800,
    always=True,
)  # fmt: skip
def run(tools: "Tools") -> RawCustomers:
    """Extract, publish by digest, and point at it."""
    from common import snapshot

    uc1 = tools.settings.uc1
    wanted = wanted_of(uc1)
    taken = snapshot.take(tools.postgres, tools.minio, wanted, uc1.raw_data_path)
    if taken.created:
        tools.context.effect("object", taken.uri, rows=taken.rows, digest=taken.digest)
    return RawCustomers(
        table=uc1.table or "query", uri=taken.uri, digest=taken.digest, sha256=taken.sha256, rows=taken.rows,
        size_bytes=taken.size_bytes, columns=tuple(Column(name=n, type=t) for n, t in taken.columns),
        entity=uc1.entity or ROW_NUMBER, label=str(uc1.label), event_time=uc1.event_time,
    )  # fmt: skip


def wanted_of(uc1: "Uc1") -> "Wanted":
    """What the configuration asks for. Raises ConfigError where it contradicts itself."""
    from common.extract import Wanted
    from common.postgres import source_of

    if not uc1.label:
        raise ConfigError("uc1.label is not set: no column is named as the label.", "Set it in config.yaml.")
    if uc1.as_of and not uc1.event_time:
        raise ConfigError("uc1.as_of is set but uc1.event_time is not: as of when?", "Name the time column.")
    needed = tuple(name for name in (uc1.entity, uc1.label, uc1.event_time) if name)
    refuse_two_roles(uc1)
    limits = uc1.expectations
    spoken = (*needed, *uc1.numeric, *uc1.categorical, *uc1.ordered, *uc1.sensitive, *limits.required, *limits.ranges,
              *limits.sets)  # fmt: skip
    lost = sorted(set(spoken) & set(uc1.dropped))
    if lost:
        raise ConfigError(f"uc1.dropped drops {lost[0]}, which the configuration speaks of elsewhere.",
                          "Take it off uc1.dropped, or off the other place.")  # fmt: skip
    return Wanted(source_of(uc1), needed, dropped=uc1.dropped, event_time=uc1.event_time, as_of=uc1.as_of)


def refuse_two_roles(uc1: "Uc1") -> None:
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


if __name__ == "__main__":
    from common.cli import main

    main(__file__)
