"""Rules of this house that no linter knows, read off the syntax tree. `make check` runs them.

Run it:  python -m tests.static_rules

A rule that must give way somewhere is waived in WAIVERS, by file, with the reason; a waiver that nothing needs any
more is a complaint too.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
CODE = ("common", "churn", "embedded", "serving", "uc*", "benchmarks", "docs")

WAIVERS = {
    ("common/process.py", "subprocess-deadline"): "run_command itself: communicate() has the deadline",
    ("embedded/units.py", "subprocess-deadline"): "a supervisor lives as long as its service",
    ("embedded/shim.py", "subprocess-deadline"): "the service itself; its supervisor watches it",
    ("benchmarks/ingest.py", "subprocess-deadline"): "what is measured must not be cut off",
    ("benchmarks/serving.py", "subprocess-deadline"): "what is measured must not be cut off",
    ("benchmarks/volume.py", "subprocess-deadline"): "what is measured must not be cut off",
    ("benchmarks/ingest.py", "connect-timeout"): "the DSN of common.postgres holds the timeout",
    ("common/postgres.py", "connect-timeout"): "KEEPALIVES in the URL holds it, for every driver alike",
    ("common/feast_client.py", "connect-timeout"): "a SQLite file: nobody to wait for",
    ("common/strict_yaml.py", "yaml-load"): "the one strict loader, a SafeLoader",
    ("embedded/kube/requests.py", "yaml-load"): "a SafeLoader without timestamps, as Kubernetes reads YAML",
    ("common/retry.py", "bare-retry"): "where the named policies are made",
}
RUNS = {"run", "call", "check_call", "check_output"}
VERBS = {"get", "post", "put", "patch", "delete", "head", "options", "request"}
MANIFEST = re.compile(r"^\s*[\"']?(apiVersion|kind)[\"']?\s*:", re.MULTILINE)
WAIVED_CODE = re.compile(r"#\s*noqa:\s*(?P<codes>[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)(?P<reason>.*)$")


class Complaint(NamedTuple):
    """A rule that a line breaks."""

    file: str
    line: int
    rule: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.sentence}"


Check = Callable[[ast.AST, str], str]


def _named(node: ast.AST) -> str:
    """a.b.c of an expression, "" where it is something else."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{_named(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def _called(node: ast.AST) -> tuple[str, set[str]]:
    """Name and keywords of a call; "**" where keywords are handed on."""
    if not isinstance(node, ast.Call):
        return "", set()
    return _named(node.func), {each.arg or "**" for each in node.keywords}


def subprocess_deadline(node: ast.AST, _: str) -> str:
    name, keywords = _called(node)
    module, _, function = name.rpartition(".")
    if module == "subprocess" and function in RUNS and not keywords & {"timeout", "**"}:
        return f"{name} without timeout: use common.process.run_command, or give it a deadline"
    return "subprocess.Popen has no deadline: use common.process.run_command" if name == "subprocess.Popen" else ""


def connect_timeout(node: ast.AST, _: str) -> str:
    name, keywords = _called(node)
    if name.endswith("create_engine") and "connect_args" not in keywords:
        return "create_engine without connect_args: a server that is silent would be waited for"
    waits = name in ("psycopg2.connect", "psycopg.connect") and not keywords & {"connect_timeout", "**"}
    return f"{name} without connect_timeout" if waits else ""


def request_timeout(node: ast.AST, _: str) -> str:
    name, keywords = _called(node)
    module, _, function = name.rpartition(".")
    asks = (module in ("requests", "httpx") and function in VERBS) or function == "urlopen"
    return f"{name} without timeout" if asks and not keywords & {"timeout", "**"} else ""


def yaml_load(node: ast.AST, _: str) -> str:
    name, _keywords = _called(node)
    unsafe = name in ("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load")
    return f"{name}: use yaml.safe_load, or common.strict_yaml for what people write" if unsafe else ""


def manifest_as_data(node: ast.AST, _: str) -> str:
    parts = node.values if isinstance(node, ast.JoinedStr) else []
    texts = [str(part.value) for part in parts if isinstance(part, ast.Constant)]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        texts = [str(node.func.value.value)] if isinstance(node.func.value, ast.Constant) else []
    return "a manifest is data: build a dict and dump it" if any(map(MANIFEST.search, texts)) else ""


def no_shell(node: ast.AST, _: str) -> str:
    name, _keywords = _called(node)
    shell = isinstance(node, ast.keyword) and node.arg == "shell" and getattr(node.value, "value", None) is not False
    return "no shell between us and a command: list form" if shell or name in ("os.system", "os.popen") else ""


def bare_retry(node: ast.AST, _: str) -> str:
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    imported = isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tenacity"
    return "a retry has a name: common.retry" if imported or "tenacity" in names else ""


def address_not_branch(node: ast.AST, file: str) -> str:
    branches = isinstance(node, ast.If | ast.IfExp | ast.While) and file.startswith("uc")
    asked = {each.attr for each in ast.walk(node.test) if isinstance(each, ast.Attribute)} if branches else set()  # type: ignore[attr-defined]
    return "a step does not know where it runs: common/tools.py chooses" if "embedded" in asked else ""


def import_path(node: ast.AST, _: str) -> str:
    name, _keywords = _called(node)
    return "sys.path is left alone: packages are installed" if name.startswith("sys.path.") else ""


def unchecked_certificates(node: ast.AST, _: str) -> str:
    off = isinstance(node, ast.keyword) and node.arg == "verify" and getattr(node.value, "value", None) is False
    return "certificates are checked, unless a setting says otherwise" if off else ""


CHECKS: dict[str, Check] = {
    "subprocess-deadline": subprocess_deadline, "connect-timeout": connect_timeout, "request-timeout": request_timeout,
    "yaml-load": yaml_load, "manifest-as-data": manifest_as_data, "no-shell": no_shell, "bare-retry": bare_retry,
    "address-not-branch": address_not_branch, "import-path": import_path,
    "unchecked-certificates": unchecked_certificates,
}  # fmt: skip


def complaints_about(source: str, file: str) -> Iterator[Complaint]:
    """What breaks a rule in this source, waivers aside."""
    for node in ast.walk(ast.parse(source)):
        for rule, check in CHECKS.items():
            if sentence := check(node, file):
                yield Complaint(file, getattr(node, "lineno", 1), rule, sentence)
    for number, line in enumerate(source.splitlines(), 1):
        waived = WAIVED_CODE.search(line)
        if waived and re.search(r"\bS\d", waived["codes"]) and len(waived["reason"].strip(" ()-:")) < 8:
            yield Complaint(file, number, "waiver-with-reason", f"say why after `noqa: {waived['codes']}`")


def complaints() -> list[Complaint]:
    """Of the whole code, without what is waived, and with the waivers that nothing needs."""
    files = [ROOT / "run_all.py", *(path for part in CODE for path in sorted(ROOT.glob(f"{part}/**/*.py")))]
    found = [each for path in files for each in complaints_about(path.read_text(), str(path.relative_to(ROOT)))]
    idle = set(WAIVERS) - {(each.file, each.rule) for each in found}
    left = [each for each in found if (each.file, each.rule) not in WAIVERS]
    return left + [Complaint(file, 1, rule, "this waiver is not needed any more") for file, rule in sorted(idle)]


def main() -> int:
    """Print the complaints; 1 where there are any."""
    found = complaints()
    for each in found:
        print(each)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
