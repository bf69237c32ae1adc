"""The API over HTTP: addresses, verbs, formats, the token, and watches.

Every request is answered by `answer()`: it checks the token, finds the target in the path, calls the verb, and turns
an ApiError into the Status object that clients expect.
"""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from embedded.kube import discovery, errors, patches
from embedded.kube.errors import ApiError
from embedded.kube.objects import Objects
from embedded.kube.requests import (
    APPLY,
    JSON,
    JSON_PATCH,
    MERGE,
    YAML,
    asked_version,
    body_of,
    content_type_of,
    described,
    is_true,
    selectors_of,
    target_of,
    user_agent,
    watch_seconds,
)
from embedded.kube.rules import Target, Writer
from embedded.kube.selectors import selected

Document = dict[str, Any]
OPEN_PATHS = {"healthz", "livez", "readyz", "version"}
BOOKMARK_SECONDS = 15.0


class Api:
    """One API server: `app` is the ASGI application. `targets` are what /sd/targets answers."""

    def __init__(self, objects: Objects, token: str, targets: Callable[[], list[Document]] = list) -> None:
        self._objects, self._targets = objects, targets
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
        if parts == ["sd", "targets"]:  # Prometheus has no token of ours; addresses on loopback are no secret
            return JSONResponse(self._targets())
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, self._authorization):
            raise errors.unauthorized()
        description = described(parts)
        if description is not None:
            if request.method != "GET":
                raise errors.method_not_allowed()
            return JSONResponse(description)
        target = target_of(parts)
        if target is None:
            return PlainTextResponse("404 page not found\n", 404)
        return await self._object(request, target)

    async def _object(self, request: Request, target: Target) -> Response:
        query, method = request.query_params, request.method
        dry_run = query.get("dryRun") == "All"
        writer = Writer(query.get("fieldManager") or user_agent(request), dry_run)
        if method == "GET" and target.name:
            return JSONResponse(self._objects.get(target))
        if method == "GET":
            return self._watch(request, target) if is_true(query.get("watch")) else self._list(request, target)
        if method == "POST" and not target.name:
            return JSONResponse(self._objects.create(target, await body_of(request, JSON, YAML), writer), 201)
        if method == "PUT" and target.name:
            return JSONResponse(self._objects.replace(target, await body_of(request, JSON, YAML), writer))
        if method == "PATCH" and target.name:
            return await self._patch(request, target, writer)
        if method == "DELETE" and target.name and not target.subresource:
            return JSONResponse(_deleted(target, self._objects.delete(target, dry_run=dry_run)))
        raise errors.method_not_allowed()

    async def _patch(self, request: Request, target: Target, writer: Writer) -> Response:
        body = await body_of(request, MERGE, JSON_PATCH, APPLY)
        content_type = content_type_of(request)
        if content_type == APPLY:
            if not request.query_params.get("fieldManager"):
                raise errors.bad_request("PatchOptions.meta.k8s.io is invalid: fieldManager: Required value")
            force = is_true(request.query_params.get("force"))
            before = self._objects.store.get(target.kind, target.namespace, target.name)
            return JSONResponse(self._objects.apply(target, body, writer, force=force), 200 if before else 201)
        change = patches.merge_patch if content_type == MERGE else patches.json_patch
        try:
            return JSONResponse(self._objects.patch(target, lambda live: change(live, body), writer))
        except patches.PatchError as error:
            raise errors.bad_request(f"the patch does not apply: {error}") from None

    def _list(self, request: Request, target: Target) -> Response:
        labels, fields = selectors_of(request)
        store = self._objects.store
        items = [each for each in store.all(target.kind, target.namespace) if selected(each, labels, fields)]
        metadata = {"resourceVersion": str(store.version())}
        kind = f"{target.kind.kind}List"
        return JSONResponse({"apiVersion": target.kind.api_version, "kind": kind, "metadata": metadata, "items": items})

    def _watch(self, request: Request, target: Target) -> Response:
        return StreamingResponse(self._events(request, target), media_type=JSON)

    async def _events(self, request: Request, target: Target) -> AsyncIterator[bytes]:
        """Lines of JSON: first what exists (unless a version was named), then every write, until the time is up."""
        store, selectors, clock = self._objects.store, selectors_of(request), asyncio.get_running_loop().time
        until, seen = clock() + watch_seconds(request), asked_version(request)
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
            if seen == store.version() and is_true(request.query_params.get("allowWatchBookmarks")):
                yield _line("BOOKMARK", _bookmark(target, seen))


def _bookmark(target: Target, version: int) -> Document:
    metadata = {"resourceVersion": str(version), "creationTimestamp": None}
    return {"kind": target.kind.kind, "apiVersion": target.kind.api_version, "metadata": metadata}


def _line(event_type: str, document: Document) -> bytes:
    return json.dumps({"type": event_type, "object": document}).encode() + b"\n"


def _deleted(target: Target, document: Document) -> Document:
    if document["metadata"].get("finalizers"):
        return document
    details = {"name": target.name, "group": target.kind.group, "kind": target.kind.plural,
               "uid": document["metadata"]["uid"]}  # fmt: skip
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
