"""JSON merge patch (RFC 7396) and JSON patch (RFC 6902) on plain documents. Nothing is changed in place."""

import copy
from typing import Any

Json = Any


class PatchError(ValueError):
    """The patch cannot be read, or does not fit the document."""


def merge_patch(target: Json, patch: Json) -> Json:
    """RFC 7396: null removes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    base = target if isinstance(target, dict) else {}
    merged = {key: value for key, value in base.items() if key not in patch or patch[key] is not None}
    for key, value in patch.items():
        if value is not None:
            merged[key] = merge_patch(base.get(key), value)
    return merged


def json_patch(document: Json, operations: Json) -> Json:
    """RFC 6902: add, remove, replace, move, copy, test; all of them or none."""
    if not isinstance(operations, list):
        raise PatchError("a JSON patch is a list of operations")
    root = {"": copy.deepcopy(document)}
    for operation in operations:
        if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
            raise PatchError(f"an operation needs op and path: {operation}")
        _apply(root, operation)
    return root[""]


def _apply(root: dict[str, Json], operation: dict[str, Json]) -> None:
    op, path = operation.get("op"), operation["path"]
    if op == "remove":
        _remove(root, path)
    elif op == "test":
        if _read(root, path) != operation.get("value"):
            raise PatchError(f"testing value {path} failed")
    elif op in ("add", "replace"):
        if op == "replace":
            _read(root, path)
        _put(root, path, copy.deepcopy(operation.get("value")), insert=op == "add")
    elif op in ("move", "copy"):
        value = copy.deepcopy(_read(root, str(operation.get("from", ""))))
        if op == "move":
            _remove(root, str(operation["from"]))
        _put(root, path, value, insert=True)
    else:
        raise PatchError(f"unexpected kind of operation: {op}")


def _steps(path: str) -> list[str]:
    if path and not path.startswith("/"):
        raise PatchError(f"a path starts with a slash: {path}")
    return [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")]


def _parent(root: dict[str, Json], path: str) -> tuple[Json, str]:
    *above, last = _steps(path)
    node: Json = root
    for step in above:
        node = _child(node, step, path)
    return node, last


def _read(root: dict[str, Json], path: str) -> Json:
    parent, last = _parent(root, path)
    return _child(parent, last, path)


def _child(node: Json, step: str, path: str) -> Json:
    if isinstance(node, dict) and step in node:
        return node[step]
    if isinstance(node, list) and step.isdigit() and int(step) < len(node):
        return node[int(step)]
    raise PatchError(f"path {path} does not exist")


def _put(root: dict[str, Json], path: str, value: Json, *, insert: bool) -> None:
    parent, last = _parent(root, path)
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list) and last == "-":
        parent.append(value)
    elif isinstance(parent, list) and last.isdigit() and int(last) <= len(parent):
        parent[int(last) : int(last) + (0 if insert else 1)] = [value]
    else:
        raise PatchError(f"path {path} does not exist")


def _remove(root: dict[str, Json], path: str) -> None:
    parent, last = _parent(root, path)
    _child(parent, last, path)
    del parent[int(last) if isinstance(parent, list) else last]
