"""What the clients ask the Kubernetes API for, read from the code: verb and resource of every call."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from common.k8s_connection import KINDS
from common.paths import ROOT

# Server-side apply of what is not there yet needs `create` besides `patch`.
VERBS = {
    "apply": {"create", "patch"}, "declare": {"create", "patch"}, "create": {"create"}, "merge_patch": {"patch"},
    "get": {"get"}, "list": {"list"}, "watch": {"watch"}, "wait_for": {"watch"}, "delete": {"delete"},
}  # fmt: skip
CLIENT = re.compile(r"^_?(kubernetes|kube|k8s)$")
# Calls whose kind is a variable: which kinds it can hold.
KINDS_OF_VARIABLES = {
    ("common/canary_client.py", "document"): {"InferenceService"},
    ("common/canary_client.py", "_document"): {"InferenceService"},
    ("common/canary_client.py", "kind"): {"Deployment", "CustomResourceDefinition"},
    ("common/serving_client.py", "kind"): {"InferenceService", "ServingRuntime"},
}
Use = tuple[str, str]


def uses() -> dict[Use, set[str]]:
    """(resource, verb) -> the files that use it; a resource is "plural.group", with /status where it is that."""
    found: dict[Use, set[str]] = {}
    for path in sorted([*ROOT.glob("common/*.py"), *ROOT.glob("uc*/**/*.py")]):
        name = str(path.relative_to(ROOT))
        if name in ("common/k8s_client.py", "common/schedule_k8s.py"):
            continue  # the client itself, and what an administrator calls, not a step
        for use in _uses_in(path, name):
            found.setdefault(use, set()).add(name)
    return found


def resource(kind: str) -> str:
    """plural.group of a kind."""
    api_version, plural = KINDS[kind]
    return f"{plural}.{api_version.partition('/')[0]}" if "/" in api_version else plural


def _uses_in(path: Path, name: str) -> Iterator[Use]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in VERBS:
            owner = node.func.value
            called = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
            if CLIENT.match(called):
                status = any(each.arg == "status" for each in node.keywords)
                for kind in _kinds(node, name):
                    for verb in VERBS[node.func.attr]:
                        yield resource(kind) + ("/status" if status else ""), verb


def _kinds(call: ast.Call, file: str) -> set[str]:
    """The kinds of a call, by its first argument: "InferenceService", inference_service(...), or a variable."""
    first = call.args[0]
    if isinstance(first, ast.Constant):
        return {str(first.value)}
    word = first
    if isinstance(word, ast.Call):
        word = word.func
    named = word.attr if isinstance(word, ast.Attribute) else word.id if isinstance(word, ast.Name) else ""
    if (file, named) in KINDS_OF_VARIABLES:
        return KINDS_OF_VARIABLES[file, named]
    camel = "".join(part.title() for part in named.strip("_").split("_"))
    by_name = {kind for kind in KINDS if kind.lower() == camel.lower()}
    assert by_name, f"{file}:{call.lineno}: name the kinds of `{named}` in {Path(__file__).name}"
    return by_name
