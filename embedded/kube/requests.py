"""Reads requests: which object a path means, what a body holds, what a query asks for."""

from typing import Any

import orjson
import yaml
from starlette.requests import Request

from embedded.kube import discovery, errors, kinds
from embedded.kube.errors import ApiError
from embedded.kube.rules import Target

Document = dict[str, Any]
JSON, YAML, APPLY = "application/json", "application/yaml", "application/apply-patch+yaml"
MERGE, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"
LONGEST_WATCH_SECONDS = 1800
BODY_LIMIT_BYTES = 3 << 20


def described(parts: list[str]) -> Document | None:
    """The answer to a question of discovery, None for everything else."""
    match parts:
        case ["api"]:
            return discovery.core_versions()
        case ["apis"]:
            return discovery.groups()
        case ["apis", group]:
            return discovery.group(group)
        case ["api", "v1"]:
            return discovery.resources("", "v1")
        case ["apis", group, version]:
            return discovery.resources(group, version)
        case ["apis", "apiextensions.k8s.io", "v1", "customresourcedefinitions", name]:
            return discovery.definition(name)
        case ["openapi", "v3"]:
            return {"paths": {}}
        case ["openapi", "v2"]:
            return {
                "swagger": "2.0",
                "info": {"title": "embedded", "version": "v1"},
                "paths": {},
                "definitions": {},
            }
    return None


def target_of(parts: list[str]) -> Target | None:
    """The object or collection that a path names; None for a path that we do not serve."""
    match parts:
        case ["api", "v1", *rest]:
            group, version = "", "v1"
        case ["apis", group, version, *rest]:
            pass
        case _:
            return None
    namespace = ""
    if group and len(rest) >= 3 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    kind = kinds.find(group, version, rest[0]) if rest else None
    name, subresource = (*rest[1:], "", "")[:2]
    known = subresource == "" or (subresource == "status" and kind is not None and kind.status_subresource)
    if kind is None or len(rest) > 3 or not known or (name and kind.namespaced and not namespace):
        return None
    return Target(kind, namespace, name, subresource)


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: a time is text, because JSON has no times."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


async def body_of(request: Request, *accepted: str) -> Any:
    content_type = content_type_of(request)
    if content_type not in accepted:
        raise errors.unsupported_media_type(content_type, accepted)
    raw = await request.body()
    if len(raw) > BODY_LIMIT_BYTES:
        raise ApiError(413, "RequestEntityTooLarge", f"limit is {BODY_LIMIT_BYTES} bytes")
    try:
        written = content_type in (YAML, APPLY)
        body = yaml.load(raw, _Loader) if written else orjson.loads(raw)  # noqa: S506 (a SafeLoader)
    except (orjson.JSONDecodeError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise errors.bad_request(f"the body cannot be parsed: {error}") from None
    if not isinstance(body, dict) and content_type != JSON_PATCH:
        raise errors.bad_request("the body is not an object")
    return body


def content_type_of(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def selectors_of(request: Request) -> tuple[str, str]:
    return request.query_params.get("labelSelector", ""), request.query_params.get("fieldSelector", "")


def watch_seconds(request: Request) -> float:
    asked = request.query_params.get("timeoutSeconds", "")
    return min(float(asked), LONGEST_WATCH_SECONDS) if asked.isdigit() else LONGEST_WATCH_SECONDS


def user_agent(request: Request) -> str:
    return request.headers.get("user-agent", "").partition("/")[0] or "unknown"


def is_true(value: str | None) -> bool:
    return (value or "").lower() in ("1", "true")


def asked_version(request: Request) -> int:
    """The version that a watch starts after; 0 for "from what is there now"."""
    asked = request.query_params.get("resourceVersion", "")
    return int(asked) if asked.isdigit() else 0
