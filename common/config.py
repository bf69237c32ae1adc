"""Settings for everything, from one place: command line > environment > .env > overlay > config.yaml > defaults.

This module holds the project's only decision between the laptop and a cluster: a section that is embedded takes
its address from what `python -m embedded up` published, and from there on nobody can tell the two apart.
"""

import contextlib
import difflib
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from common.config_sources import (
    Layer,
    assigned_above,
    dotenv_layer,
    environment_layer,
    leaves,
    overrides_layer,
    tool_variables_layer,
    yaml_layer,
)
from common.errors import ConfigError
from common.logger import hide
from common.paths import ROOT, state_dir
from common.secret_settings import everything_secret, refuse_malformed_urls, secrets_of
from common.settings import Environment, Service, Settings

__all__ = ["ROOT", "load_settings", "load_with_origins", "secrets_of", "state_dir"]

KNOWN_DEFAULTS = {
    "postgres", "postgres123", "postgresql", "minioadmin", "minioadmin123", "minio", "minio123", "admin", "admin123",
    "password", "password123", "changeme", "changeit", "change", "change-me", "secret", "mlops", "mlflow", "kubeflow",
    "airflow", "argocd", "example", "test", "root", "default", "12345678", "123456789", "marquez",
}  # fmt: skip
SHORTEST_SECRET = 8
TYPES = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "a text"}
NO_USERS = Layer("the laptop has no users", {"traffic": {"source": "replay"}})
AT_HOME = Layer("development", {"uc5": {"show_people": True}})
NEEDS_REMOTE = {
    "kubeflow": ("postgres", "minio", "mlflow"),
    "kubernetes": ("postgres", "minio", "mlflow"),
    "argocd": ("git", "kubernetes"),
}


def load_settings(
    environment: str | None = None, config_file: Path | None = None, overrides: tuple[str, ...] = ()
) -> Settings:
    """Read and check the configuration. Raises ConfigError (exit 78) with the path of what is wrong."""
    return load_with_origins(environment, config_file, overrides)[0]


def load_with_origins(
    environment: str | None = None, config_file: Path | None = None, overrides: tuple[str, ...] = ()
) -> tuple[Settings, dict[str, str]]:
    """As load_settings, with the name of the source that each dotted path came from."""
    layers = _layers(environment, config_file, overrides)
    embedded = _embedded_sections(_merged(layers))
    above = next(index for index, layer in enumerate(layers) if layer.name == "environment")
    layers.insert(above, tool_variables_layer(set(_services()) - embedded, os.environ))
    if "postgres" in embedded:
        layers.insert(0, _seeded_layer(layers))
    if "kubernetes" in embedded:
        layers.insert(0, NO_USERS)
    if _merged(layers).get("environment") == "development":
        layers.insert(0, AT_HOME)
    _validated(_merged(layers))  # what people wrote, before the platform's addresses cover it
    flags = {name: {"embedded": name in embedded} for name in _services()}
    layers += [_addresses_layer(embedded), Layer("the environment's rule", flags)]
    settings = _validated(_merged(layers))
    hide(*everything_secret(settings))  # before anything can go wrong with them, in every process of ours
    refuse_malformed_urls(settings)
    _refuse_contradictions(settings)
    origins = {path: layer.name for layer in layers for path, _ in leaves(layer.values)}
    _refuse_standing_approval(settings, origins)
    return settings, origins


def _layers(environment: str | None, config_file: Path | None, overrides: tuple[str, ...]) -> list[Layer]:
    given = config_file or os.environ.get("MLOPS_CONFIG_FILE")
    path = Path(given) if given else ROOT / "config.yaml"
    base = yaml_layer(path, required=bool(given))
    top = [dotenv_layer(ROOT / ".env"), environment_layer(os.environ)]
    top.append(overrides_layer((*assigned_above(os.environ), *overrides)))
    if environment:
        top.append(Layer("--env", {"environment": environment}))
    name = str(_merged([base, *top]).get("environment", "development"))
    known = name in get_args(Environment)  # another one is refused later, and must lead to no file meanwhile
    overlay = yaml_layer(path.with_name(f"{path.stem}.{name}{path.suffix}")) if known else Layer("", {})
    chosen = Layer("the environment's name", {"environment": name})
    return [base, overlay, chosen, *top]


def _embedded_sections(values: dict[str, Any]) -> set[str]:
    default = values.get("environment") == "development"
    flags = {name: (values.get(name) or {}) for name in _services()}
    said = {name: section.get("embedded") if isinstance(section, dict) else None for name, section in flags.items()}
    return {name for name, flag in said.items() if (default if flag is None else flag)}


def _addresses_layer(embedded: set[str]) -> Layer:
    addresses = yaml_layer(state_dir() / "addresses.yaml")
    return Layer("the embedded platform", {n: v for n, v in addresses.values.items() if n in embedded})


def _seeded_layer(layers: list[Layer]) -> Layer:
    """What the embedded platform knows of the table it seeded, unless the configuration names a source."""
    named = _merged(layers).get("uc1") or {}
    if not isinstance(named, dict) or named.get("query") or named.get("table") not in (None, "customers"):
        return Layer("seeded.yaml", {})
    return yaml_layer(state_dir() / "seeded.yaml")


def _merged(layers: list[Layer]) -> dict[str, Any]:
    return functools.reduce(lambda merged, layer: _deep(merged, layer.values), layers, {})


def _deep(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _deep(merged[key], value) if both else value
    return merged


def _validated(values: dict[str, Any]) -> Settings:
    sections = {name: value for name, value in values.items() if value is not None}
    try:
        return Settings(**sections)
    except ValidationError as error:
        raise ConfigError(
            _printable(_sentence(error.errors())), "`python -m common config --origin` shows every key."
        ) from None


def _sentence(problems: Sequence[Any]) -> str:
    problem = problems[0]
    path = ".".join(str(part) for part in problem["loc"])
    if choices := _choices(problems):
        return f"The setting {path.rpartition('.')[0]} is wrong: Input should be {' or '.join(choices)}."
    if problem["type"] != "extra_forbidden":
        return f"The setting {path} is wrong: {problem['msg'].removeprefix('Value error, ')}."
    names = list(_fields_at(problem["loc"][:-1]))
    near = difflib.get_close_matches(str(problem["loc"][-1]), names, 1, 0.5)
    known = f" Known here: {', '.join(names)}." if names else ""
    meant = f" Did you mean {near[0]}?" if near else known
    return f"There is no setting {path}.{meant}"


def _choices(problems: Sequence[Any]) -> list[str]:
    """What a setting of several types may be, by the ends of their locations."""
    place = problems[0]["loc"][:-1]
    ends = [str(each["loc"][-1]) for each in problems if each["loc"][:-1] == place]
    return [TYPES[end] for end in ends] if len(ends) > 1 and set(ends) <= set(TYPES) else []


def _printable(text: str) -> str:
    """One line that a terminal shows as it is, whatever somebody called a key."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _fields_at(location: tuple[Any, ...]) -> dict[str, Any]:
    model: Any = Settings
    for part in location:
        fields = getattr(model, "model_fields", {})
        model = fields[part].annotation if part in fields else None
    return getattr(model, "model_fields", {})


@functools.cache
def _services() -> tuple[str, ...]:
    return tuple(Settings().services())


def _refuse_contradictions(settings: Settings) -> None:
    services = settings.services()
    if settings.environment != "development":
        _refuse_laptop_values(settings)
    for name, needed in NEEDS_REMOTE.items():
        near = [other for other in needed if services[other].embedded]
        if not services[name].embedded and near:
            raise ConfigError(
                f"{name} is remote but {', '.join(near)} is embedded: a cluster cannot reach this machine's loopback.",
                f"Give {', '.join(near)} an address and embedded: false, or set {name}.embedded: true.",
            )
    if not settings.kubernetes.embedded and settings.prometheus.embedded:
        raise ConfigError(
            "kubernetes is remote but prometheus is embedded: only model servers on this machine are read directly.",
            "Give prometheus an address and embedded: false.",
        )
    if settings.uc1.namespace in settings.uc6.namespaces.values():
        raise ConfigError(
            f"UC1 and UC6 would both write to the namespace {settings.uc1.namespace}.",
            "Give uc1.namespace and uc6.namespaces different names.",
        )
    if settings.uc6.auto_approve and settings.environment != "development":
        raise ConfigError(
            f"{settings.environment} refuses uc6.auto_approve: there a person approves what is promoted.",
            "Set uc6.auto_approve: false.",
        )
    _refuse_limits_of_nobody(settings)
    if settings.environment == "production" and settings.uc2.inject:
        raise ConfigError("production refuses uc2.inject: its users would meet the faults.", "Try them in staging.")


def _refuse_standing_approval(settings: Settings, origins: dict[str, str]) -> None:
    """An approval is about one version and given by hand: one that lies in a file would approve whatever comes."""
    uc6 = settings.uc6
    if not uc6.approve or settings.environment == "development":
        return
    if origins["uc6.approve"] != "--set" or uc6.version is None:
        how = f"{origins['uc6.approve']}{'' if uc6.version else ' without a version'}"
        raise ConfigError(
            f"uc6.approve comes from {how}; {settings.environment} takes it from the command line only.",
            "Approve one version by hand: uc6_01_promote_model_git.py --version N --approve YOUR-NAME",
        )


def _refuse_limits_of_nobody(settings: Settings) -> None:
    """A misspelt column would keep the general limit in silence. Where none is sensitive, none is judged."""
    sensitive, uc5 = settings.uc1.sensitive, settings.uc5
    for name, by_column in (("limits", uc5.limits), ("bins", uc5.bins)):
        for column, given in by_column.items():
            if sensitive and given is not None and column not in sensitive:
                near = difflib.get_close_matches(column, sensitive, 1, 0.5)
                meant = f"Did you mean {near[0]}?" if near else f"uc1.sensitive has {', '.join(sensitive)}."
                raise ConfigError(
                    _printable(f"uc5.{name}.{column} is about a column that is not in uc1.sensitive. {meant}"),
                    f"Add it to uc1.sensitive, or take it out: uc5.{name}.{column}: null.",
                )


def _refuse_laptop_values(settings: Settings) -> None:
    generated = _generated_here()
    for name, section in {**settings.services(), "ledger": settings.ledger}.items():
        if isinstance(section, Service) and section.embedded:
            raise ConfigError(f"{settings.environment} refuses the embedded {name}.", f"Set {name}.embedded: false.")
        for key, secret in secrets_of(section).items():
            if why := _unfit(secret, generated):
                variable = f"MLOPS_{name.upper()}__{key.partition(' ')[0].upper()}"
                raise ConfigError(
                    f"{name}.{key} is {why}, which {settings.environment} refuses.",
                    f"Set {variable} or {variable}_FILE.",
                )


def _unfit(secret: str, generated: set[str]) -> str:
    """Why a secret may not guard anything outside this machine; "" for a good one."""
    if secret.lower() in KNOWN_DEFAULTS:
        return "a well-known default"
    if secret in generated:
        return "one that the laptop's platform made for itself"
    return f"shorter than {SHORTEST_SECRET} characters" if len(secret) < SHORTEST_SECRET else ""


def _generated_here() -> set[str]:
    """The secrets in this clone's state: they lie readable on a laptop's disk."""
    found = set()
    for path in (state_dir() / "secrets").glob("*"):
        with contextlib.suppress(OSError, ValueError):
            found.add(path.read_text(encoding="utf-8").strip())
    return found
