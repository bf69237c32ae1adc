"""What an AppProject allows: pure functions. What it does not name is refused, as Argo CD does."""

from fnmatch import fnmatchcase
from typing import Any

Document = dict[str, Any]


def why_refused(project: Document | None, application: Document) -> str:
    """Why an Application may not be, in Argo CD's words; "" where it may."""
    spec = application["spec"]
    if project is None:
        return f"Application referencing project {spec['project']} which does not exist"
    source = spec.get("source") or {}
    if not source.get("repoURL"):
        return "spec.source.repoURL is required: one source, and not several, is followed here"
    if not any(fnmatchcase(source.get("repoURL", ""), each) for each in project["spec"].get("sourceRepos") or []):
        return f"application repo {source.get('repoURL')} is not permitted in project '{spec['project']}'"
    return why_not_there(project, spec["destination"], str(spec["destination"].get("namespace", "")))


def why_not_there(project: Document, destination: Document, namespace: str) -> str:
    """Why nothing may be put into a namespace; "" where it may."""
    server = destination.get("server", "")
    for allowed in project["spec"].get("destinations") or []:
        fits = fnmatchcase(server, allowed.get("server", "*"))
        if fits and fnmatchcase(namespace, allowed.get("namespace", "")):
            return ""
    place, name = f"server '{server}' and namespace '{namespace}'", project["metadata"]["name"]
    return f"application destination {place} do not match any of the allowed destinations in project '{name}'"


def why_not_this(project: Document, group: str, kind: str, name: str, is_namespaced: bool) -> str:
    """Why this object may not be made; "" where it may. Without a list every namespaced kind may, and no other."""
    spec = project["spec"]
    allowed = spec.get("namespaceResourceWhitelist" if is_namespaced else "clusterResourceWhitelist")
    if allowed is None and is_namespaced:
        return ""
    for each in allowed or []:
        if all(
            fnmatchcase(*pair) for pair in ((group, each["group"]), (kind, each["kind"]), (name, each.get("name", "*")))
        ):
            return ""
    return f"resource {group}:{kind} is not permitted in project {project['metadata']['name']}"
