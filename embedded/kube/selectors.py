"""Label and field selectors, as far as people use them: equality, inequality, presence."""

from typing import Any

from embedded.kube.errors import bad_request

Document = dict[str, Any]


def selected(document: Document, labels: str, fields: str) -> bool:
    """True when the object passes both selectors; "" passes everything."""
    return _labels_match(document["metadata"].get("labels") or {}, labels) and _fields_match(document, fields)


def _labels_match(labels: dict[str, str], selector: str) -> bool:
    for term in _terms(selector):
        key, operator, value = _split(term)
        if operator == "":
            passes = key.lstrip("!") not in labels if key.startswith("!") else key in labels
        else:
            passes = (labels.get(key) == value) == (operator == "=")
        if not passes:
            return False
    return True


def _fields_match(document: Document, selector: str) -> bool:
    for term in _terms(selector):
        key, operator, value = _split(term)
        if key not in ("metadata.name", "metadata.namespace") or not operator:
            raise bad_request(f'field label not supported: "{key}"')
        if (document["metadata"].get(key.removeprefix("metadata.")) == value) != (operator == "="):
            return False
    return True


def _terms(selector: str) -> list[str]:
    if "(" in selector:
        raise bad_request(f"unable to parse requirement: set-based selectors are not supported here: {selector}")
    return [term.strip() for term in selector.split(",") if term.strip()]


def _split(term: str) -> tuple[str, str, str]:
    for sign, operator in (("!=", "!="), ("==", "="), ("=", "=")):
        key, found, value = term.partition(sign)
        if found:
            return key.strip(), operator, value.strip()
    return term, "", ""
