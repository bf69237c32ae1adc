"""What is known to be a secret is shown by nothing, however it is written; every secret of the settings is known."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from pydantic import BaseModel, SecretStr

from common import logger
from common.config import load_settings
from common.config_shown import listing
from common.errors import ConfigError
from common.paths import ROOT
from common.secret_settings import everything_secret
from common.settings import Settings
from tests.conftest import clean_environment
from tests.secrets import sinks
from tests.secrets.canaries import canary, encodings, search

HERE = Path(__file__).parent


def deep(value: object) -> ParameterSet:
    """More of the same, which only the deep tests do."""
    return pytest.param(value, marks=pytest.mark.deep)


# What no program does to a secret by itself; the search looks for it all the same.
UNUSUAL = re.compile("reversed|case|hex|utf-16")
WRITTEN = [name for name in encodings("") if not UNUSUAL.search(name)]


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The process forgets what it was told to hide, and knows of no platform."""
    monkeypatch.setattr(logger, "_secrets", set())
    monkeypatch.setattr(logger, "_forms", [])
    monkeypatch.setenv("MLOPS_STATE_DIR", str(tmp_path))


def paths_of(model: type[BaseModel], above: str = "") -> Iterator[str]:
    """The dotted path of every secret that a model can hold."""
    for key, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from paths_of(inner, f"{above}{key}.")
        elif "SecretStr" in str(inner):
            yield f"{above}{key}"


def filled(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A canary in every secret of the settings, by path."""
    values = {}
    for path in paths_of(Settings):
        secret = canary(path, between="/").value
        scheme = "postgresql://bot:x@h/" if path == "ledger.url" else "https://h" if path.endswith("url") else ""
        values[path] = scheme + secret
        monkeypatch.setenv("MLOPS_" + path.upper().replace(".", "__"), values[path])
    return values


def test_every_secret_that_the_settings_declare_is_hidden_once_they_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    values = filled(monkeypatch)
    assert len(values) > 12
    load_settings()
    for path, value in values.items():
        assert logger.without_secrets(f"<{value}>") == f"<{logger.HIDDEN}>", path


def test_no_field_of_another_name_should_have_been_a_secret() -> None:
    named = {path for path in all_paths(Settings) if re.search(r"password|secret|token|webhook|credential", path)}
    assert named == {path for path in paths_of(Settings) if not path.endswith(("heartbeat_url", "ledger.url"))}


def all_paths(model: type[BaseModel], above: str = "") -> Iterator[str]:
    for key, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from all_paths(inner, f"{above}{key}.")
        else:
            yield f"{above}{key}"


@pytest.mark.parametrize("encoding", WRITTEN)
def test_a_hidden_secret_is_hidden_in_every_form_that_programs_write(encoding: str) -> None:
    secret = canary("hidden")
    logger.hide(secret.value)
    for before in ("", "x", "xy", "bot:"):
        shown = logger.without_secrets(f"{before}{encodings(secret.value)[encoding].decode()} and more")
        assert not list(search([("shown", shown.encode())], [secret])), shown


def test_what_lets_in_by_a_url_is_hidden_alone_as_well() -> None:
    one, two, three = (canary(name) for name in ("git", "hook", "token"))
    url, hook = f"https://bot:{one.in_url}@h/d.git", f"https://h/hook/{two.in_url}"

    class Section(BaseModel):
        git_url: str = url
        webhook_url: SecretStr = SecretStr(hook)
        server: str = f"https://{three.in_url}@h"

    found = everything_secret(Section())
    assert {one.value, one.in_url, three.value, three.in_url, hook, f"/hook/{two.in_url}"} <= found
    assert not {"bot", "h", "/d.git"} & found


MALFORMED = (
    "https://bot:{}@h/d.git", "https://bot:1/{}@h/d.git", "http://[{}", "https://bot:a/b{}@h", "https:///{}",
)  # fmt: skip
WELL_FORMED = (
    "https://bot:p%40%2F@h/d.git", "ssh://git@h/d.git", "git@h:d.git", "file:///a@b:c/d.git", "https://h/a@b/c",
    "https://h:8443/c", "/a/path:with@signs",
)  # fmt: skip


@pytest.mark.parametrize("url", MALFORMED)
@pytest.mark.parametrize("path", ["dvc.git_url", *(deep(path) for path in ("alerts.webhook_url", "ledger.url"))])
def test_a_url_that_hides_its_password_badly_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, url: str, path: str
) -> None:
    secret = canary("in a URL")
    monkeypatch.setenv("MLOPS_" + path.upper().replace(".", "__"), url.format(secret.value))
    monkeypatch.setenv("MLOPS_DVC__EMBEDDED", "false")
    with pytest.raises(ConfigError) as refused:
        load_settings()
    assert path in refused.value.message
    assert not list(search([("said", str(vars(refused.value)).encode())], [secret]))


@pytest.mark.parametrize("url", WELL_FORMED)
def test_other_addresses_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("MLOPS_DVC__GIT_URL", url)
    monkeypatch.setenv("MLOPS_DVC__EMBEDDED", "false")
    assert load_settings().dvc.git_url == url
    assert "p%40" not in listing(None, None, ())


LINES = (
    'password: "{}', "password: {}: x", "password: @{}", "password: [{}", "password: %{}", "password: *{}",
    "password: !{} x", "password: &{} &b", "password: {{{}", 'password: "\\{}"', "password: '{}\n'x", "password: |{}",
)  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_a_mistake_beside_a_secret_is_told_by_its_place_and_not_by_its_text(tmp_path: Path, line: str) -> None:
    secret = canary("in YAML", between="")
    file = tmp_path / "config.yaml"
    file.write_text("git:\n  " + line.format(secret.value) + "\n")
    with pytest.raises(ConfigError, match=r"line \d+, column \d+") as refused:
        load_settings(config_file=file)
    assert not list(search([("said", str(vars(refused.value)).encode())], [secret])), refused.value.message


def test_a_password_of_digits_is_text_in_a_file_too(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("git: {embedded: false, deployments_url: 'https://h/d', password: 0123}\nuc1: {seed: 7}\n")
    settings = load_settings(config_file=file)
    assert (settings.git.password.get_secret_value(), settings.uc1.seed) == ("0123", 7)


@pytest.mark.parametrize("flags", [("-vv", "--json"), deep(("-v",))], ids=" ".join)
def test_a_step_with_a_bug_that_tells_all_it_knows_tells_nothing(tmp_path: Path, flags: tuple[str, ...]) -> None:
    secrets = [canary("git.password"), canary("alerts.webhook_url", between="/"), canary("dvc.git_url")]
    env = clean_environment(
        MLOPS_STATE_DIR=str(tmp_path), PYTHONPATH=str(ROOT), MLOPS_GIT__PASSWORD=secrets[0].value,
        MLOPS_ALERTS__WEBHOOK_URL=f"https://h/{secrets[1].value}", MLOPS_DVC__EMBEDDED="false",
        MLOPS_DVC__GIT_URL=f"https://bot:{secrets[2].in_url}@h/d.git",
    )  # fmt: skip
    command = [sys.executable, str(HERE / "reveal_01_everything.py"), *flags]
    done = subprocess.run(command, env=env, cwd="/", capture_output=True, timeout=120)
    assert done.returncode == 70, done.stderr
    for said in (b"unverified request", b"a thread failed", b"once more", b"nobody foresaw"):
        assert said in done.stderr, "the step must have told it, or this proves nothing"
    pieces = [("stdout", done.stdout), ("stderr", done.stderr), *sinks.files(tmp_path)]
    assert not list(search(pieces, secrets))
