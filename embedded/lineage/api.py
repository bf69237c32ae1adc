"""The API over HTTP: paths, paging, status codes and the words of a refusal.

Segments of a path are split before they are decoded: names of datasets have slashes in them.
"""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from embedded.lineage import graph, nodes, queries
from embedded.lineage.database import Database, Work
from embedded.lineage.events import BadEventError, is_run_event, read, run_id, time_of
from embedded.lineage.queries import Page
from embedded.lineage.store import store

Document = dict[str, Any]
BODY_LIMIT_BYTES = 10 << 20
DEFAULT_LIMIT, DEFAULT_DEPTH = 100, 20
HOSTS = ("127.0.0.1", "localhost", "[::1]", "testserver")


class RefusedError(Exception):
    """An answer that says no."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Api:
    """One server: `app` is the ASGI application."""

    def __init__(self, database: Database, page: Callable[[Document], str]) -> None:
        self._database, self._page = database, page
        self.app = Starlette(routes=[Route("/{path:path}", self.answer, methods=["GET", "POST", "PUT", "DELETE"])])

    async def answer(self, request: Request) -> Response:
        """Answer one request; the work is done in a thread."""
        try:
            _refuse_strangers(request)
            body = await _body(request) if request.method in ("POST", "PUT") else None
            return await run_in_threadpool(self._answer, request, body)
        except RefusedError as error:
            return JSONResponse({"code": error.code, "message": error.message}, error.code)
        except BadEventError as error:
            said = {"errors": error.said} if error.code == 422 else {"code": error.code, "message": str(error)}
            return JSONResponse(said, error.code)

    def _answer(self, request: Request, body: Any) -> Response:
        parts = [unquote(part) for part in request.scope["raw_path"].decode("ascii").split("/") if part]
        if parts == ["healthcheck"]:
            return JSONResponse({"database": {"healthy": True}})
        if not parts and request.method == "GET":
            with self._database.transaction() as work:
                whole = graph.everything(work)
            return HTMLResponse(self._page(whole))
        if parts[:2] != ["api", "v1"]:
            raise RefusedError(404, "HTTP 404 Not Found")
        if (request.method, parts[2:]) == ("POST", ["lineage"]):
            return self._received(body)
        with self._database.transaction() as work:
            found = self._found(work, request, parts[2:], body)
        return JSONResponse(found)

    def _received(self, document: Any) -> Response:
        """201 for a run event, 200 for an event of a kind that is not kept here; both without a body."""
        if isinstance(document, dict) and not is_run_event(document):
            return Response(status_code=200)
        store(self._database, read(document))
        return Response(status_code=201)

    def _found(self, work: Work, request: Request, parts: list[str], body: Any) -> Document:
        if request.method == "PUT" and len(parts) == 2 and parts[0] == "namespaces":
            owner = (body or {}).get("ownerName")
            if not owner:
                raise BadEventError(422, "ownerName must not be null")
            return queries.put_namespace(work, parts[1], owner, body.get("description")) or {}
        if request.method != "GET":
            raise RefusedError(405, "HTTP 405 Method Not Allowed")
        match parts:
            case ["namespaces", *rest] if rest:
                return _in_namespace(work, request, rest[0], rest[1:])
            case ["lineage"] | ["column-lineage"]:
                return _graph(work, request, parts[0])
            case ["jobs", "runs", wanted, *rest] if rest in ([], ["facets"]):
                kind = request.query_params.get("type", "run")
                return _there(_run(work, run_id(wanted), bool(rest), kind), f"Run '{wanted}' not found.")
        return _listed(work, request, parts)


def _run(work: Work, wanted: str, facets: bool, kind: str) -> Document | None:
    return queries.run_facets(work, wanted, kind) if facets else queries.run(work, wanted)


def _listed(work: Work, request: Request, parts: list[str]) -> Document:
    query, page = request.query_params, _page(request)
    match parts:
        case ["namespaces"]:
            return queries.namespaces(work, page)
        case ["jobs"]:
            return queries.jobs(work, None, page)
        case ["sources"]:
            return queries.sources(work, page)
        case ["tags"]:
            return {"tags": []}
        case ["events", "lineage"]:
            after, before = (time_of(query[name]) if query.get(name) else None for name in ("after", "before"))
            return queries.events(work, after, before, query.get("sortDirection", "desc").lower() == "asc", page)
        case ["search"]:
            kind, by_time = query.get("filter"), query.get("sort", "NAME").upper() == "UPDATE_AT"
            kind = kind.upper() if kind else None
            return queries.search(work, query.get("q", ""), kind, query.get("namespace"), by_time, page.limit)
    raise RefusedError(404, "HTTP 404 Not Found")


def _in_namespace(work: Work, request: Request, space: str, parts: list[str]) -> Document:
    page = _page(request)
    known = _there(queries.namespace(work, space), f"Namespace '{space}' not found.")
    match parts:
        case []:
            return known
        case ["jobs"]:
            return queries.jobs(work, space, page)
        case ["datasets"]:
            return queries.datasets(work, space, page)
        case ["jobs", name, *rest]:
            job = _there(queries.job(work, space, name), f"Job '{name}' not found.")
            return _of_job(work, job, space, name, rest, page)
        case ["datasets", name, *rest]:
            dataset = _there(queries.dataset(work, space, name), f"Dataset '{name}' not found.")
            return _of_dataset(work, dataset, space, name, rest, page)
    raise RefusedError(404, "HTTP 404 Not Found")


def _of_job(work: Work, job: Document, space: str, name: str, parts: list[str], page: Page) -> Document:
    match parts:
        case []:
            return job
        case ["runs"]:
            return queries.runs(work, space, name, page)
        case ["versions"]:
            return queries.job_versions(work, space, name, page)
    raise RefusedError(404, "HTTP 404 Not Found")


def _of_dataset(work: Work, dataset: Document, space: str, name: str, parts: list[str], page: Page) -> Document:
    match parts:
        case []:
            return dataset
        case ["versions"]:
            versions = queries.dataset_versions(work, space, name, page)
            return {"versions": versions, "totalCount": len(versions)}
        case ["versions", version]:
            found = queries.dataset_versions(work, space, name, page, version)
            return _there(next(iter(found), None), f"Dataset version '{version}' not found.")
    raise RefusedError(404, "HTTP 404 Not Found")


def _graph(work: Work, request: Request, kind: str) -> Document:
    query = request.query_params
    depth = _number(query.get("depth"), DEFAULT_DEPTH, "depth")
    if not query.get("nodeId"):
        raise BadEventError(422, "nodeId must not be null")
    try:
        start = nodes.parse(query["nodeId"])
    except nodes.BadNodeError as error:
        raise RefusedError(404, str(error)) from None  # as JAX-RS answers for a parameter that it cannot make
    if kind == "column-lineage":
        downstream = query.get("withDownstream", "").lower() == "true"
        return _there(graph.column_lineage(work, start, depth, downstream), f"Node '{query['nodeId']}' not found.")
    return _there(graph.lineage(work, start, depth), f"Node '{query['nodeId']}' not found.")


def _there(found: Document | None, sentence: str) -> Document:
    if found is None:
        raise RefusedError(404, sentence)
    return found


def _page(request: Request) -> Page:
    query = request.query_params
    return Page(_number(query.get("limit"), DEFAULT_LIMIT, "limit"), _number(query.get("offset"), 0, "offset"))


def _number(text: str | None, default: int, name: str) -> int:
    if text is None or text == "":
        return default
    try:
        number = int(text)
    except ValueError:
        raise RefusedError(404, f"{name} is no number") from None
    if number < 0:
        raise BadEventError(400, f"query param {name} must be greater than or equal to 0")
    return number


def _refuse_strangers(request: Request) -> None:
    """A page of the internet may reach loopback through the user's browser, by a name of its own (DNS rebinding)."""
    host = request.headers.get("host", "").rsplit(":", 1)[0]
    if host not in HOSTS:
        raise RefusedError(403, "This server answers on loopback only.")


async def _body(request: Request) -> Any:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RefusedError(415, "HTTP 415 Unsupported Media Type")
    raw = await request.body()
    if len(raw) > BODY_LIMIT_BYTES:
        raise RefusedError(413, "HTTP 413 Request Entity Too Large")
    try:
        return json.loads(raw)
    except ValueError:
        raise RefusedError(400, "Unable to process JSON") from None
