"""What Feast knows of the customers: one entity, one feature view over one parquet object, one feature service.

`feast.repo_path` of the configuration names the folder of this file; to define more, set it to a folder of your
own with a `definitions.py` that has the same function. Step 4 applies what it returns. Columns come from the
configuration or from the data, so the objects are made by a function; Feast's own `feast apply` collects objects
of modules, and reads them from one that says `entity, source, view, service = define(table, s3)`, beside a
feature_store.yaml of yours.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.feast_client import FeatureTable


def define(table: "FeatureTable", s3: dict[str, Any]) -> list[Any]:
    """Return the entity, the source, the feature view and the feature service of `table`, in this order.

    `s3` holds the keyword arguments of FileSource that say where the object store is and whose keys open it.
    """
    from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
    from feast.types import Float32, Int64, String

    whole_number = table.entity_type == "int64"
    entity = Entity(
        name=table.entity,
        join_keys=[table.entity],
        value_type=ValueType.INT64 if whole_number else ValueType.STRING,
        description="Identifies one customer.",
    )
    source = FileSource(name=f"{table.view}-source", path=table.uri, timestamp_field=table.time, **s3)
    fields = [Field(name=table.entity, dtype=Int64 if whole_number else String)]
    fields += [Field(name=name, dtype=Float32) for name in table.numeric]
    fields += [Field(name=name, dtype=String) for name in table.categorical]
    view = FeatureView(
        name=table.view,
        entities=[entity],
        schema=fields,
        source=source,
        ttl=None,  # a feature stays true until the next one of its customer
        online=True,
        tags={"digest": table.digest},
    )
    return [entity, source, view, FeatureService(name=table.service, features=[view])]
