"""Node ids such as `dataset:s3://bucket:raw/customers`, split as Marquez splits them."""

import re
from typing import NamedTuple

KINDS = ("dataset", "job", "run", "datasetField")
# A colon that is neither of "scheme://" nor of "host:port".
COLON = re.compile(r":(?!//|\d+)")


class BadNodeError(ValueError):
    """The text is no node id."""


class Node(NamedTuple):
    """What an id names; `field` is a column, where the id is of one."""

    kind: str
    namespace: str
    name: str
    field: str = ""


def parse(text: str) -> Node:
    """The node that an id names; a version behind # is left out. Raises BadNodeError."""
    kind, _, rest = text.partition(":")
    if kind not in KINDS or not rest:
        raise BadNodeError(f"node ID ({text}) must start with 'dataset', 'datasetField', 'job', or 'run'")
    if kind == "run":
        return Node(kind, "", rest)
    wanted = 3 if kind == "datasetField" else 2
    parts = rest.partition("#")[0].split(":")
    if len(parts) != wanted:
        parts = COLON.split(rest.partition("#")[0], wanted - 1)
    if len(parts) != wanted or not all(parts):
        raise BadNodeError(f"Expected NodeId of type {kind} with {wanted + 1} parts. Got: {text}")
    return Node(kind, *parts)


def of_dataset(namespace: str, name: str) -> str:
    """The id of a dataset."""
    return f"dataset:{namespace}:{name}"


def of_job(namespace: str, name: str) -> str:
    """The id of a job."""
    return f"job:{namespace}:{name}"
