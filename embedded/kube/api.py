"""The API over HTTP: addresses, verbs, formats, the token, and watches.

Every request is answered by `answer()`: it checks the token, finds the target in the path, calls the verb, and turns
an ApiError into the Status object that clients expect.
"""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import orjson
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from embedded.kube import discovery, errors, kinds, patches
from embedded.kube.errors import ApiError
from embedded.kube.objects import Objects, Target, Writer
from embedded.kube.selectors import selected

Document = dict[str, Any]
OPEN_PATHS = {"healthz", "livez", "readyz", "version"}
JSON, YAML, APPLY = "application/json", "application/yaml", "application/apply-patch+yaml"
MERGE, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"
BOOKMARK_SECONDS = 15.0
LONGEST_WATCH_SECONDS = 1800
BODY_LIMIT = 3 << 20


class Api:
    """One API server: `app` is the ASGI application."""

    def __init__(self, objects: Objects, token: str) -> None:
        self._objects = objects
        self._authorization = f"Bearer {token}".encode()
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        self.app = Starlette(routes=[Route("/{path:path}", self.answer, methods=methods)])

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        try:
            return await self._answer(request)
        except ApiError as error:
            return JSONResponse(error.document(), error.code)

    async def _answer(self, request: Request) -> Response:
        parts = [part for part in request.url.path.split("/") if part]
        if parts and parts[0] in OPEN_PATHS:
            return JSONResponse(discovery.VERSION) if parts[0] == "version" else PlainTextResponse("ok")
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, self._authorization):
            raise errors.unauthorized()
        described = _described(parts)
        if described is not None:
            return JSONResponse(described)
        target = _target(parts)
        if target is None:
            return PlainTextResponse("404 page not found\n", 404)
        return await self._object(request, target)

    async def _object(self, request: Request, target: Target) -> Response:
        query, method = request.query_params, request.method
        dry_run = query.get("dryRun") == "All"
        writer = Writer(query.get("fieldManager") or _agent(request), dry_run)
        if method == "GET" and target.name:
            return JSONResponse(self._objects.get(target))
        if method == "GET":
            return self._watch(request, target) if _is_true(query.get("watch")) else self._list(request, target)
        if method == "POST" and not target.name:
            return JSONResponse(self._objects.create(target, await _body(request, JSON, YAML), writer), 201)
        if method == "PUT" and target.name:
            return JSONResponse(self._objects.replace(target, await _body(request, JSON, YAML), writer))
        if method == "PATCH" and target.name:
            return await self._patch(request, target, writer)
        if method == "DELETE" and target.name and not target.subresource:
            return JSONResponse(_deleted(target, self._objects.delete(target, dry_run=dry_run)))
        raise errors.method_not_allowed()

    async def _patch(self, request: Request, target: Target, writer: Writer) -> Response:
        body = await _body(request, MERGE, JSON_PATCH, APPLY)
        content_type = _content_type(request)
        if content_type == APPLY:
            if not request.query_params.get("fieldManager"):
                raise errors.bad_request("PatchOptions.meta.k8s.io is invalid: fieldManager: Required value")
            force = _is_true(request.query_params.get("force"))
            before = self._objects.store.get(target.kind, target.namespace, target.name)
            return JSONResponse(self._objects.apply(target, body, writer, force=force), 200 if before else 201)
        change = patches.merge_patch if content_type == MERGE else patches.json_patch
        try:
            return JSONResponse(self._objects.patch(target, lambda live: change(live, body), writer))
        except patches.PatchError as error:
            raise errors.bad_request(f"the patch does not apply: {error}") from None

    def _list(self, request: Request, target: Target) -> Response:
        labels, fields = _selectors(request)
        store = self._objects.store
        items = [each for each in store.all(target.kind, target.namespace) if selected(each, labels, fields)]
        metadata = {"resourceVersion": str(store.version())}
        kind = f"{target.kind.kind}List"
        return JSONResponse({"apiVersion": target.kind.api_version, "kind": kind, "metadata": metadata, "items": items})

    def _watch(self, request: Request, target: Target) -> Response:
        return StreamingResponse(self._events(request, target), media_type=JSON)

    async def _events(self, request: Request, target: Target) -> AsyncIterator[bytes]:
        """Lines of JSON: first what exists (unless a version was named), then every write, until the time is up."""
        store, selectors, clock = self._objects.store, _selectors(request), asyncio.get_running_loop().time
        until, seen = clock() + _seconds(request), _asked_version(request)
        if not seen:
            seen, existing = store.version(), store.all(target.kind, target.namespace)
            for document in existing:
                if selected(document, *selectors):
                    yield _line("ADDED", document)
        while clock() < until and not await request.is_disconnected():
            if seen < store.oldest():
                yield _line("ERROR", errors.expired(store.oldest(), seen).document())
                return
            # Both are read before the first line is sent: a write that happens meanwhile is seen the next time.
            newest, events = store.version(), store.events_after(seen, target.kind, target.namespace)
            for event in events:
                if selected(event.object, *selectors):
                    yield _line(event.type, event.object)
            seen = newest
            await store.changed(seen, min(BOOKMARK_SECONDS, max(until - clock(), 0)))
            if seen == store.version() and _is_true(request.query_params.get("allowWatchBookmarks")):
                yield _line("BOOKMARK", _bookmark(target, seen))


def _bookmark(target: Target, version: int) -> Document:
    metadata = {"resourceVersion": str(version), "creationTimestamp": None}
    return {"kind": target.kind.kind, "apiVersion": target.kind.api_version, "metadata": metadata}


def _asked_version(request: Request) -> int:
    """The version that a watch starts after; 0 for "from what is there now"."""
    asked = request.query_params.get("resourceVersion", "")
    return int(asked) if asked.isdigit() else 0


def _line(event_type: str, document: Document) -> bytes:
    return json.dumps({"type": event_type, "object": document}).encode() + b"\n"


def _described(parts: list[str]) -> Document | None:
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


def _target(parts: list[str]) -> Target | None:
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


async def _body(request: Request, *accepted: str) -> Any:
    content_type = _content_type(request)
    if content_type not in accepted:
        raise errors.unsupported_media_type(content_type, accepted)
    raw = await request.body()
    if len(raw) > BODY_LIMIT:
        raise ApiError(413, "RequestEntityTooLarge", f"limit is {BODY_LIMIT} bytes")
    try:
        body = yaml.load(raw, _Loader) if content_type in (YAML, APPLY) else orjson.loads(raw)  # noqa: S506
    except (orjson.JSONDecodeError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise errors.bad_request(f"the body cannot be parsed: {error}") from None
    if not isinstance(body, dict) and content_type != JSON_PATCH:
        raise errors.bad_request("the body is not an object")
    return body


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _selectors(request: Request) -> tuple[str, str]:
    return request.query_params.get("labelSelector", ""), request.query_params.get("fieldSelector", "")


def _seconds(request: Request) -> float:
    asked = request.query_params.get("timeoutSeconds", "")
    return min(float(asked), LONGEST_WATCH_SECONDS) if asked.isdigit() else LONGEST_WATCH_SECONDS


def _agent(request: Request) -> str:
    return request.headers.get("user-agent", "").partition("/")[0] or "unknown"


def _is_true(value: str | None) -> bool:
    return (value or "").lower() in ("1", "true")


def _deleted(target: Target, document: Document) -> Document:
    if document["metadata"].get("finalizers"):
        return document
    details = {"name": target.name, "group": target.kind.group, "kind": target.kind.plural,
               "uid": document["metadata"]["uid"]}  # fmt: skip
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
