"""Checks an object against its kind's schema and answers in the words of a real API server."""

import functools
import re
from typing import Any

import jsonschema

from embedded.kube.kinds import Kind

Document = dict[str, Any]
OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def check(kind: Kind, document: Document) -> list[Document]:
    """The causes for a 422: empty when the object is well formed."""
    causes = _check_metadata(document["metadata"])
    if kind.schema and "spec" not in document and kind.schema.get("required"):
        causes.append(_cause("spec", "Required value", "FieldValueRequired"))
    errors = _validator(kind).iter_errors(document.get("spec", {})) if "spec" in document else []
    return causes + [_translated(error) for error in errors]


@functools.cache
def _validator(kind: Kind) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(kind.schema)


def _check_metadata(metadata: Document) -> list[Document]:
    causes = []
    name = metadata.get("name", "")
    if not name:
        causes.append(_cause("metadata.name", "Required value: name or generateName is required", "FieldValueRequired"))
    elif not isinstance(name, str) or not OBJECT_NAME.fullmatch(name):
        rule = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'"
        text = f'Invalid value: "{name}": {rule}'
        causes.append(_cause("metadata.name", text, "FieldValueInvalid"))
    for key in ("labels", "annotations"):
        values = metadata.get(key) or {}
        if not isinstance(values, dict) or any(not isinstance(value, str) for value in values.values()):
            causes.append(
                _cause(f"metadata.{key}", "Invalid value: must be a map of text to text", "FieldValueTypeInvalid")
            )
    return causes


def _translated(error: jsonschema.ValidationError) -> Document:
    schema: Any = error.schema
    instance: Any = error.instance
    path = ".".join(["spec", *(str(step) for step in error.absolute_path)])
    if error.validator == "required":
        missing = next(name for name in schema["required"] if name not in instance)
        return _cause(f"{path}.{missing}", "Required value", "FieldValueRequired")
    if error.validator == "additionalProperties":
        unknown = next(name for name in instance if name not in schema["properties"])
        return _cause(f"{path}.{unknown}", "field not declared in schema", "FieldValueInvalid")
    if error.validator == "enum":
        return _cause(path, f'Unsupported value: "{error.instance}"', "FieldValueNotSupported")
    kind = "FieldValueTypeInvalid" if error.validator == "type" else "FieldValueInvalid"
    return _cause(path, f"Invalid value: {error.message}", kind)


def _cause(field: str, message: str, reason: str) -> Document:
    return {"reason": reason, "message": message, "field": field}
