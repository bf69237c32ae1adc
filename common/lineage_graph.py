"""The lineage graph as Marquez answers it, made small: nodes, edges, what is above and below, and how it is called."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]
Edge = tuple[str, str]
KINDS = ("table", "object", "data_repository", "feature_view", "model", "service")
WORDS = {"table": "table", "object": "objects", "data_repository": "data version", "feature_view": "feature view",
         "model": "model", "service": "service", "job": "step"}  # fmt: skip
SCHEMES = {"postgres": "table", "s3": "object", "git": "data_repository", "feast": "feature_view", "mlflow": "model",
           "kserve": "service"}  # fmt: skip
MARKS = {"completed": "✓", "failed": "✗ failed", "aborted": "! stopped", "running": "… running"}
SHOWN_DIGEST = 10


@dataclass(frozen=True)
class Node:
    """A dataset or a job. `title` and `subtitle` are what its box says, `facts` what is known besides."""

    id: str
    kind: str
    namespace: str
    name: str
    title: str
    subtitle: str
    version: str = ""
    state: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    checks: tuple[tuple[str, str], ...] = ()

    @property
    def words(self) -> str:
        """The kind, for people."""
        return WORDS.get(self.kind, self.kind)


@dataclass(frozen=True)
class Graph:
    """Nodes by id, and edges in the direction in which data flow."""

    nodes: Mapping[str, Node] = field(default_factory=dict)
    edges: tuple[Edge, ...] = ()

    def next(self, node: str, up: bool) -> list[str]:
        """The neighbours of a node, up or down the stream."""
        return [a if up else b for a, b in self.edges if (b if up else a) == node]

    def reach(self, start: str, direction: str, depth: int = 1000) -> set[str]:
        """The node, and what is up or down the stream from it, at most `depth` steps of a pipeline away."""
        found = {start}
        for up in (True, False):
            edge = {start} if direction in ("both", "up" if up else "down") else set()
            seen = set(edge)
            for _ in range(2 * depth):
                edge = {each for node in edge for each in self.next(node, up)} - seen
                seen |= edge
            found |= seen
        return found

    def only(self, wanted: Iterable[str]) -> "Graph":
        """The part of the graph with these nodes."""
        kept = set(wanted)
        edges = tuple(edge for edge in self.edges if kept.issuperset(edge))
        return Graph({name: node for name, node in self.nodes.items() if name in kept}, edges)


def graph_of(answered: Iterable[Document]) -> Graph:
    """The graph out of the nodes that a server answered."""
    given = sorted(answered, key=lambda node: str(node["id"]))
    edges = {(e["origin"], e["destination"]) for node in given for side in ("inEdges", "outEdges") for e in node[side]}
    seen = _statistics(given)
    nodes = {each["id"]: _job(each) if each["type"] == "JOB" else _dataset(each, seen) for each in given}
    return Graph(nodes, tuple(sorted(edge for edge in edges if nodes.keys() >= set(edge))))


def _job(node: Document) -> Node:
    data = node["data"]
    run, facets = data.get("latestRun") or {}, data.get("facets") or {}
    name = str(data.get("simpleName") or data["name"])
    pipeline, number, *words = [*name.split("_", 2), "", ""][:3] if name.count("_") > 1 else ("", "", name)
    source = facets.get("sourceCodeLocation") or {}
    error = ((run.get("facets") or {}).get("errorMessage") or {}).get("message", "")
    facts = (
        ("promise", data.get("description")), ("last run", _ran(run)), ("error", error), ("file", source.get("path")),
        ("code", source.get("version")), ("job", f"{data['namespace']} / {data['name']}"), ("run", run.get("id")),
    )  # fmt: skip
    state = str(run.get("state") or "").lower()
    subtitle = f"{pipeline} step {number} {MARKS.get(state, '')}" if number else "step"
    return Node(node["id"], "job", data["namespace"], data["name"], words[0].replace("_", " "), subtitle, "", state,
                _said(facts))  # fmt: skip


def _dataset(node: Document, seen: Mapping[tuple[str, str], Document]) -> Node:
    data = node["data"]
    facets, statistics = data.get("facets") or {}, seen.get((data["namespace"], data["name"]), {})
    kind = str((facets.get("datasetType") or {}).get("datasetType") or "").lower()
    kind = kind if kind in KINDS else SCHEMES.get(data["namespace"].split(":")[0], "object")
    version, rows = str((facets.get("version") or {}).get("datasetVersion") or ""), statistics.get("rows")
    title = data["name"].split(".")[-1] if kind == "table" else data["name"]
    counted = f"{rows:,} rows" if rows is not None else ""
    subtitle = " · ".join(part for part in (WORDS[kind], counted or version[:SHOWN_DIGEST]) if part)
    facts = (
        ("name", data["name"]), ("on", data["namespace"]), ("version", version.replace(",", ", ")), ("rows", counted),
        ("last written", _moment(data.get("lastModifiedAt"))),
        ("columns come from", _columns_from(facets.get("columnLineage") or {})),
    )  # fmt: skip
    columns = tuple((str(each["name"]), str(each.get("type") or "")) for each in data.get("fields") or ())
    return Node(node["id"], kind, data["namespace"], data["name"], title, subtitle, version, "", _said(facts), columns,
                tuple(statistics.get("checks", ())))  # fmt: skip


def _statistics(given: Iterable[Document]) -> dict[tuple[str, str], Document]:
    """Row counts and checks by dataset: they are facets of a run's reading or writing, not of the dataset."""
    found: dict[tuple[str, str], Document] = {}
    for run in (node["data"].get("latestRun") or {} for node in given if node["type"] == "JOB"):
        for seen in [*(run.get("inputDatasetVersions") or ()), *(run.get("outputDatasetVersions") or ())]:
            own, facets = seen["datasetVersionId"], seen.get("facets") or {}
            note = found.setdefault((own["namespace"], own["name"]), {})
            for counted in (facets.get("inputStatistics"), facets.get("outputStatistics")):
                if counted and counted.get("rowCount") is not None:
                    note["rows"] = counted["rowCount"]
            for check in (facets.get("dataQualityAssertions") or {}).get("assertions", ()):
                said = f"{check.get('column') or 'table'}: {check['assertion']}"
                note.setdefault("checks", []).append((said, "holds" if check["success"] else "BROKEN"))
    return found


def _columns_from(facet: Document) -> str:
    sources = {f"{i['namespace']}/{i['name']}" for each in (facet.get("fields") or {}).values()
               for i in each.get("inputFields", ())}  # fmt: skip
    return f"{len(facet.get('fields') or {})} columns, from {', '.join(sorted(sources))}" if sources else ""


def _ran(run: Document) -> str:
    if not run:
        return ""
    took = f", {run['durationMs'] / 1000:.1f} s" if run.get("durationMs") is not None else ""
    return f"{run.get('state', '').lower()} {_moment(run.get('endedAt') or run.get('startedAt'))}{took}"


def _moment(text: str | None) -> str:
    return f"{text[:19].replace('T', ' ')} UTC" if text else ""


def _said(facts: Iterable[tuple[str, Any]]) -> tuple[tuple[str, str], ...]:
    return tuple((label, str(value)) for label, value in facts if value)
