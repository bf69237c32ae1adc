"""Writes the reference: settings from their descriptions, commands from their --help, faults from the tests' table.

Run it:  python docs/generate.py            after a change of settings or flags
         python docs/generate.py --check    does the reference say what the code says? (a test asks)
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from common.config_sources import TOOL_VARIABLES
from common.paths import ROOT
from common.settings import Settings
from docs.faults_page import faults_page

REFERENCE = ROOT / "docs" / "reference"
HELP_SECONDS = 60
WRITTEN = "<!-- Written by `python docs/generate.py`; `make check` says when it is out of date. -->"


def main() -> int:
    """Write the pages, or say which are out of date."""
    parser = argparse.ArgumentParser(description="Write docs/reference from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 where a page is out of date")
    check = parser.parse_args().check
    stale = [name for name, text in pages().items() if (REFERENCE / name).read_text() != text] if check else []
    for name in stale:
        print(f"docs/reference/{name} is out of date: python docs/generate.py")
    if not check:
        for name, text in pages().items():
            (REFERENCE / name).write_text(text)
    return 1 if stale else 0


def pages() -> dict[str, str]:
    """Name -> content."""
    return {"config.md": config_page(), "cli.md": cli_page(), "faults.md": faults_page(WRITTEN)}


# Settings


def config_page() -> str:
    """A table for each section of config.yaml, then the environment's variables of other tools."""
    tables = [_section(name, field) for name, field in Settings.model_fields.items()]
    variables = "\n".join(f"| `{name}` | `{path}` |" for name, path in TOOL_VARIABLES.items())
    return f"""# Configuration

{WRITTEN}

`config.yaml`, overlaid by `config.<environment>.yaml`. What comes first holds: `--set a.b=c`; the environment
(`MLOPS_A__B`, or `MLOPS_A__B_FILE` with the path of a file that holds the value of a secret); `.env`; the overlay;
`config.yaml`; the defaults below. `python -m common config --origin` shows what holds and where it came from. A section
with `embedded` gets its address from the laptop's platform where that is true.

{"".join(tables)}
## The tools' own variables

Honoured where the section is remote, ignored where it is embedded (`python -m common doctor` lists those it ignored).

| variable | setting |
|---|---|
{variables}
"""


def _section(name: str, field: FieldInfo) -> str:
    if not _is_section(field.annotation):
        return f"`{name}`: {_type(field.annotation)}, default {_default(field)}. {field.description or ''}\n\n"
    lines = "\n".join(_rows(name, field.annotation))
    doc = " ".join((field.annotation.__doc__ or "").split())  # type: ignore[union-attr]
    head = "| setting | type | default | what it says |\n|---|---|---|---|\n"
    return f"## {name}\n\n{doc}\n\n{head}{lines}\n\n" if lines else f"## {name}\n\n{doc}\n\n"


def _rows(path: str, model: Any) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if _is_section(field.annotation):
            yield from _rows(f"{path}.{name}", field.annotation)
        else:
            said = (field.description or "").replace("|", "\\|")
            yield f"| `{path}.{name}` | {_type(field.annotation)} | {_default(field)} | {said} |"


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _type(annotation: Any) -> str:
    """The type in words that fit into a cell."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is SecretStr:
        return "secret"
    if origin is Literal:
        return " or ".join(f"`{each}`" for each in inner)
    if origin is Union or type(annotation).__name__ == "UnionType":
        return " or ".join("null" if each is type(None) else _type(each) for each in inner)
    if origin in (tuple, list):
        return f"list of {_type(inner[0])}" if inner else "list"
    if origin is dict:
        return f"map to {_type(inner[1])}"
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false", "datetime": "time"}
    known = getattr(annotation, "__name__", str(annotation))
    return names.get(known, known)


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if field.is_required():
        return "required"
    if isinstance(value, SecretStr) or value == "":
        return "empty"
    shown = {None: "null", True: "true", False: "false"}.get(value) if isinstance(value, bool | None) else None
    if isinstance(value, tuple):
        shown = "[" + ", ".join(map(str, value)) + "]"
    return f"`{shown or value}`".replace("|", "\\|")


# Commands


def commands() -> list[tuple[str, ...]]:
    """Every command a person can give: run_all, pipelines, steps, programs, in the order of a story."""
    programs = [path.parent.name for path in sorted(ROOT.glob("*/__main__.py"))]
    modules = [(*_module(path), "") for path in sorted(ROOT.glob("uc*/*.py")) if _is_own_program(path)]
    scripts = [path for path in sorted(ROOT.glob("uc*/*.py")) if path.name == "run_pipeline.py" or _is_step(path)]
    packages = [("-m", name) for name in programs]
    return [("run_all.py",), *((str(path.relative_to(ROOT)),) for path in scripts), *packages,
            *((flag, name) for flag, name, _ in modules)]  # fmt: skip


def _is_step(path: Path) -> bool:
    return path.stem.startswith(path.parent.name.split("_")[0] + "_")


def _is_own_program(path: Path) -> bool:
    """A module that is run as `python -m package.module`: it says so itself."""
    said = f"python -m {path.parent.name}.{path.stem}"
    own = path.name != "run_pipeline.py" and not _is_step(path)
    return own and 'if __name__ == "__main__"' in path.read_text() and said in path.read_text()


def _module(path: Path) -> tuple[str, str]:
    return "-m", f"{path.parent.name}.{path.stem}"


def cli_page() -> str:
    """What every command says of itself."""
    listed = commands()
    deeper = [("-m", "common", name) for name in ("config", "doctor", "audit", "schedule")]
    with ThreadPoolExecutor(2) as pool:
        helps = list(pool.map(_help, [*listed, *deeper]))
    parts = [f"## python {' '.join(command)}\n\n```\n{text}\n```\n" for command, text in helps]
    return f"""# Commands

{WRITTEN}

Data goes to stdout, progress and logs to stderr. [Exit codes](exit-codes.md) are the same everywhere.

{chr(10).join(parts)}"""


def _help(command: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """The command and what its --help prints, the same on every machine."""
    environment = {"PATH": os.environ["PATH"], "COLUMNS": "110", "LANG": "C.UTF-8", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, *command, "--help"], cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=HELP_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"python {' '.join(command)} --help ended with {done.returncode}: {done.stderr}")
    return command, "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


if __name__ == "__main__":
    raise SystemExit(main())
