"""The settings for people and editors: a listing with origins, and a JSON Schema."""

import json
import re
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from common.config import load_with_origins
from common.config_sources import leaves
from common.logger import HIDDEN
from common.settings import Settings

LOGIN = re.compile(r"(?<!ssh)://\S+@")  # of ssh the user is a part of the address, and a password is of no use


def listing(environment: str | None, config_file: Path | None, overrides: tuple[str, ...], origin: bool = False) -> str:
    """One line a setting, secrets as asterisks; with the source of each where asked."""
    settings, origins = load_with_origins(environment, config_file, overrides)
    lines = []
    for path, value in leaves(settings.model_dump()):
        lines.append(f"{path} = {_shown(value)}" + (f"    # {_origin(path, origins)}" if origin else ""))
    return "\n".join(lines)


def _shown(value: Any) -> str:
    """As JSON; of secrets asterisks, and of a URL not what lets somebody in."""
    if isinstance(value, SecretStr):
        return str(value)
    clean = LOGIN.sub(f"://{HIDDEN}@", value) if isinstance(value, str) else value
    return json.dumps(clean, default=str, ensure_ascii=False)


def schema() -> str:
    """The JSON Schema of config.yaml. Secrets may also be given as <key>_file."""
    made = Settings.model_json_schema()
    for definition in made.get("$defs", {}).values():
        secret = [key for key, spec in definition.get("properties", {}).items() if spec.get("format") == "password"]
        for key in secret:
            said = {"type": "string", "description": f"File that holds `{key}`."}
            definition["properties"][f"{key}_file"] = said
    return json.dumps(made, indent=2)


def _origin(path: str, origins: dict[str, str]) -> str:
    while path:
        if path in origins:
            return origins[path]
        path = path.rpartition(".")[0]
    return "default"
