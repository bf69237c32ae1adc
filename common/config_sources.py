"""Where settings come from: files, the environment, the command line, and the addresses of the platform.

Each source becomes a Layer, a nested dict with a name, so that the loader can say where a value came from.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin

import yaml
from pydantic import SecretStr

from common import strict_yaml
from common.errors import ConfigError
from common.settings import Settings

MAX_FILE_BYTES = 256 * 1024
MAX_SECRET_BYTES = 64 * 1024
ASSIGNMENTS = "MLOPS_SET"  # what --set said, for child processes

# The tools' own variables, honoured where their section is remote, ignored where it is embedded.
TOOL_VARIABLES = {
    "PGHOST": "postgres.host", "PGPORT": "postgres.port", "PGDATABASE": "postgres.database",
    "PGUSER": "postgres.user", "PGPASSWORD": "postgres.password", "PGSSLMODE": "postgres.sslmode",
    "AWS_ENDPOINT_URL": "minio.endpoint", "AWS_ACCESS_KEY_ID": "minio.access_key",
    "AWS_SECRET_ACCESS_KEY": "minio.secret_key", "AWS_DEFAULT_REGION": "minio.region",
    "AWS_CA_BUNDLE": "minio.ca_file",
    "MLFLOW_TRACKING_URI": "mlflow.tracking_uri", "MLFLOW_TRACKING_USERNAME": "mlflow.username",
    "MLFLOW_TRACKING_PASSWORD": "mlflow.password", "KF_PIPELINES_ENDPOINT": "kubeflow.host",
    "KUBECONFIG": "kubernetes.kubeconfig",
}  # fmt: skip


class Layer(NamedTuple):
    """One source of settings: a name for messages, and a nested dict of what it says."""

    name: str
    values: dict[str, Any]


def yaml_layer(path: Path, required: bool = False) -> Layer:
    """Read a YAML file; a missing one is empty unless `required`. Raises ConfigError naming file and line."""
    try:
        values = strict_yaml.load(_read(path, MAX_FILE_BYTES).decode("utf-8-sig"))
    except FileNotFoundError:
        if required:
            raise ConfigError(f"There is no configuration file {path}.", "Give one with --config FILE.") from None
        return Layer(path.name, {})
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", "Give a file with --config FILE.") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:  # a date that is none, a key that is a map
        raise ConfigError(f"{path} is not valid YAML: {strict_yaml.explained(error)}") from None
    if values is not None and not isinstance(values, dict):
        raise ConfigError(f"{path} must hold sections such as `postgres:`, not {type(values).__name__}.")
    if odd := next((path for path in _keys(values or {}) if not isinstance(path[-1], str)), None):
        raise ConfigError(f"{path} has a key that is no text: {'.'.join(map(str, odd))}.", "Put it in quotes.")
    return Layer(path.name, _with_secrets_read(values or {}, path.name, path.parent))


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """MLOPS_POSTGRES__HOST and the like; MLOPS_POSTGRES__PASSWORD_FILE names a mounted secret."""
    values: dict[str, Any] = {}
    for name, text in environ.items():
        parts = name.lower().removeprefix("mlops_").split("__")
        if name.upper().startswith("MLOPS_") and (len(parts) > 1 or parts[0] == "environment"):
            put(values, ".".join(parts), typed(".".join(parts), text))
    return Layer("environment", _with_secrets_read(values, "the environment"))


def dotenv_layer(path: Path) -> Layer:
    """The same names from a .env file."""
    from dotenv import dotenv_values

    pairs = {name: text for name, text in dotenv_values(path).items() if text is not None}
    return Layer(path.name, environment_layer(pairs).values)


def tool_variables_layer(remote_sections: set[str], environ: Mapping[str, str]) -> Layer:
    """PGHOST, AWS_ACCESS_KEY_ID, KUBECONFIG and so on, for the sections that are remote."""
    values: dict[str, Any] = {}
    for name, path in TOOL_VARIABLES.items():
        if environ.get(name) and path.split(".")[0] in remote_sections:
            put(values, path, environ[name])
    return Layer("the tools' own variables", values)


def ignored_tool_variables(embedded_sections: set[str], environ: Mapping[str, str] = os.environ) -> list[str]:
    """The tools' variables that are set and that an embedded section ignores, for `doctor`."""
    return sorted(n for n, path in TOOL_VARIABLES.items() if environ.get(n) and path.split(".")[0] in embedded_sections)


def assigned_above(environ: Mapping[str, str]) -> tuple[str, ...]:
    """What the process that started this one was given by --set. As variables, keys would lose their case."""
    try:
        said = json.loads(environ.get(ASSIGNMENTS, "[]"))
    except ValueError:
        said = None
    if not isinstance(said, list) or not all(isinstance(each, str) for each in said):
        raise ConfigError(f"{ASSIGNMENTS} is no JSON list of texts such as a.b=value.", "Unset it, or use --set.")
    return tuple(said)


def overrides_layer(assignments: tuple[str, ...]) -> Layer:
    """--set a.b=c, as often as given."""
    values: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path.strip() or not path.isprintable():
            raise ConfigError(f"--set wants a.b=value, not {assignment!r}.")
        put(values, path.strip(), typed(path.strip(), text))
    return Layer("--set", values)


def put(values: dict[str, Any], path: str, value: Any) -> None:
    """Set values["a"]["b"] for the path "a.b"."""
    *parents, last = path.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{path} cannot be set: {parent} is set to a value of its own.")
    values[last] = value


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path and value of everything in a nested dict."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def typed(path: str, text: str) -> Any:
    """A value from the environment or the command line, as its setting wants it: a password of digits stays text.

    Where the setting is no text, numbers, booleans, lists and null are what YAML reads.
    """
    wanted = _annotation(path)
    if wanted in (str, SecretStr):
        return text
    try:
        value = strict_yaml.load(text)
    except strict_yaml.Surprise as surprise:
        raise ConfigError(f"The setting {path} is wrong: {surprise.problem}.") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return text
    is_text = get_origin(wanted) in (Union, UnionType) and not {int, bool, float} & {*get_args(wanted)}
    return text if is_text and value is not None else value


def _annotation(path: str) -> Any:
    """The type of the setting at a dotted path; None where there is no such setting."""
    found: Any = Settings
    for part in path.split("."):
        fields = getattr(found, "model_fields", {})
        found = fields[part].annotation if part in fields else None
    return found


def _with_secrets_read(values: dict[str, Any], where: str, beside: Path | None = None) -> dict[str, Any]:
    """Replace `password_file: path` by the file's content as `password`, in every section.

    A relative path in a file is meant beside that file, whatever directory a script is started from.
    """
    for name, section in values.items():
        field = Settings.model_fields.get(name)
        if field is None or not isinstance(section, dict):
            continue
        known = getattr(field.annotation, "model_fields", {})
        for key in [key for key in section if key.endswith("_file") and key not in known]:
            path = (beside or Path()) / str(section.pop(key))
            section[key.removesuffix("_file")] = _secret(path, f"{name}.{key} in {where}")
    return values


def _secret(path: Path, where: str) -> str:
    try:
        return _read(path, MAX_SECRET_BYTES).decode("utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{where} names {path}, which cannot be read: {error.strerror}.") from None
    except ValueError:
        raise ConfigError(f"{where} names {str(path)!r}, which holds no text.") from None


def _read(path: Path, most_bytes: int) -> bytes:
    """The file's bytes, and no more than a configuration has: it may be a device without an end."""
    with path.open("rb") as file:
        read = file.read(most_bytes + 1)
    if len(read) > most_bytes:
        raise ConfigError(f"{path} is larger than {most_bytes:,} bytes; that is no configuration.")
    return read


def _keys(values: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every key, in mappings and in lists of them."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield (*above, key)
            yield from _keys(value, (*above, key))
    elif isinstance(values, list):
        for index, value in enumerate(values):
            yield from _keys(value, (*above, index))
