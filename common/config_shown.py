"""The settings for people and editors: a listing with origins, and a JSON Schema."""

import json
from pathlib import Path

from pydantic import SecretStr

from common.config import load_with_origins
from common.config_sources import leaves
from common.settings import Settings


def listing(environment: str | None, config_file: Path | None, overrides: tuple[str, ...], origin: bool = False) -> str:
    """One line a setting, secrets as asterisks; with the source of each where asked."""
    settings, origins = load_with_origins(environment, config_file, overrides)
    lines = []
    for path, value in leaves(settings.model_dump()):
        shown = str(value) if isinstance(value, SecretStr) else json.dumps(value, default=str, ensure_ascii=False)
        lines.append(f"{path} = {shown}" + (f"    # {_origin(path, origins)}" if origin else ""))
    return "\n".join(lines)


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
