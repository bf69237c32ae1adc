"""The secrets that settings hold: fields of their own, and what stands in URLs to let somebody in."""

from collections.abc import Iterator
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import BaseModel, SecretStr

from common.errors import ConfigError

SHORTEST_PATH = 8  # "/api" is no secret, wherever it stands
URLS = ("url", "uri", "host", "endpoint", "server")  # how the keys end that may hold one


def secrets_of(section: BaseModel) -> dict[str, str]:
    """The secrets of a section in clear text, by key, passwords inside URLs included; empty ones left out."""
    values = {key: getattr(section, key) for key in type(section).model_fields}
    secrets = {key: v.get_secret_value() for key, v in values.items() if isinstance(v, SecretStr)}
    urls = {key: v for key, v in {**values, **secrets}.items() if isinstance(v, str) and "://" in v}
    inside = {f"{key} (its password)": _parts(url).password for key, url in urls.items()}
    return {key: secret for key, secret in {**secrets, **inside}.items() if secret}


def everything_secret(settings: BaseModel) -> set[str]:
    """What no log, error or report may show: secrets at any depth, and each part of a URL that lets somebody in."""
    found: set[str] = set()
    for key in type(settings).model_fields:
        value = getattr(settings, key)
        if isinstance(value, BaseModel):
            found |= everything_secret(value)
        elif isinstance(value, SecretStr):
            found |= {value.get_secret_value(), *_inside(value.get_secret_value(), is_secret=True)}
        elif isinstance(value, str):
            found |= {*_inside(value, is_secret=False)}
    return found - {""}


def refuse_malformed_urls(settings: BaseModel, above: str = "") -> None:
    """Raise ConfigError, without the value, where a URL cannot be read: its password would be taken for its host."""
    for key in type(settings).model_fields:
        value, path = getattr(settings, key), f"{above}{key}"
        if isinstance(value, BaseModel):
            refuse_malformed_urls(value, f"{path}.")
            continue
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if key.endswith(URLS) and isinstance(text, str) and text and not _is_well_formed(text, path):
            raise ConfigError(
                f"The setting {path} is no URL that can be read.",
                "In a user name or password write / # ? @ : % as %2F %23 %3F %40 %3A %25.",
            )


def _is_well_formed(url: str, path: str) -> bool:
    try:
        if path == "ledger.url":
            _database(url)
        elif "://" in url and not url.startswith("file:"):
            _server(url)
    except ValueError:
        return False
    return True


def _server(url: str) -> None:
    """Raise ValueError where no server is named, or where it may be a piece of a password: u:1/2@host."""
    parts = urlsplit(url)
    _ = parts.port
    after = url.partition("://")[2].partition("/")[2]
    if not parts.hostname or (":" in parts.netloc and "@" in after):
        raise ValueError


def _database(url: str) -> None:
    """Raise ValueError where SQLAlchemy does not understand the URL, or knows no such database."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        make_url(url).get_dialect()
    except ArgumentError:
        raise ValueError from None


def _inside(url: str, is_secret: bool) -> Iterator[str]:
    """The password, a token in place of a user; and of a URL that is itself a secret, the path and query.

    Clients log those without the host. As the URL has them, and as they are meant.
    """
    if "://" not in url:
        return
    parts = _parts(url)
    over_http = parts.scheme in ("http", "https")
    lets_in = [parts.password or (parts.username if over_http else "") or ""]
    if is_secret and over_http and len(parts.path) >= SHORTEST_PATH:
        lets_in += [parts.path, parts.path.strip("/"), parts.query]
    for part in lets_in:
        yield from (part, unquote(part))


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # it is refused as no URL, by who asks for one
        return urlsplit("")
