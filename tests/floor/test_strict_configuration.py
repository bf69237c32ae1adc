"""Configuration that lies: refused in one sentence with its place, whatever it is; and secrets that are none."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from common.config import load_settings
from common.config_sources import MAX_FILE_BYTES, yaml_layer
from common.errors import ConfigError
from common.paths import ROOT
from common.settings import Settings

UNHURRIED = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}
SOME = examples(max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "200")), **UNHURRIED)  # type: ignore[arg-type]
BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + below] * 10)}]\n" for below, name in zip("abcdefgh", "bcdefghi", strict=True)
)
DEEP = "uc1: " + "[" * 25 + "]" * 25


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "state"
    (place / "secrets").mkdir(parents=True)
    (place / "secrets" / "postgres").write_text("made-on-this-laptop-Aa1\n")
    monkeypatch.setenv("MLOPS_STATE_DIR", str(place))
    return place


def write(directory: Path, text: str) -> Path:
    path = directory / "config.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("uc1: {seed: 1, seed: 2}", "the key 'seed' is given twice"),
        ("uc1: {}\nuc1: {}", "the key 'uc1' is given twice"),
        ("uc1: !!python/object/apply:os.system [true]", "the tag tag:yaml.org,2002:python/object/apply:os.system is"),
        ("uc1: !!binary aGFsbG8=", "the tag tag:yaml.org,2002:binary is refused"),
        ("uc1: !own x", "the tag !own is refused"),
        (BOMB, "more than 20,000 values is refused"),
        ("uc1: &a [*a]", "an anchor inside itself is refused"),
        (DEEP, "a depth of more than 20 is refused"),
        ("postgres: {port: 010}", "010 would be read as 8; write that, or '010'"),
        ("uc1: {seed: 1:30}", "1:30 would be read as 90"),
        ("uc1: {holdout_share: .nan}", ".nan is no number"),
        ("uc1: {holdout_share: -.inf}", "-.inf is no number"),
        ("5: x", "a key that is no text: 5"),
        ("uc1: {gate: {true: x}}", "a key that is no text: uc1.gate.True"),
        ("uc1: [", "is not valid YAML"),
        ("x: " + "y" * MAX_FILE_BYTES, "larger than 262,144 bytes"),
        ("environment: ../../etc/passwd", "The setting environment is wrong"),
        ("postgres: {password_file: /dev/zero}", "larger than 65,536 bytes"),
        ("kubernetes: {embedded: [1]}", "The setting kubernetes.embedded is wrong"),
        ("uc1: {positive_label: null}", "The setting uc1.positive_label is wrong: Input should be true or false or a"),
        ("uc1: {gate: {min_roc_auc: {x: 1}}}", "The setting uc1.gate.min_roc_auc is wrong"),
        ("uc1: {expectations: {ranges: {age: [1, old]}}}", "The setting uc1.expectations.ranges.age.1 is wrong"),
        ("uc1: {expectations: {rangse: {}}}", "There is no setting uc1.expectations.rangse. Did you mean ranges?"),
        ("schedules: {drift: {cron: hourly}}", "The setting schedules.drift.cron is wrong"),
        ("uc1: {namespace: Models}", "The setting uc1.namespace is wrong: 'Models' is not allowed"),
        ("minio: {bucket: a..b}", "The setting minio.bucket is wrong"),
        ("dvc: {branch: --force}", "The setting dvc.branch is wrong"),
        ("uc1: {model_name: ../../x}", "The setting uc1.model_name is wrong"),
    ],
)  # fmt: skip
def test_what_no_configuration_needs_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings(config_file=write(tmp_path, text))
    assert said in refused.value.message
    assert "\n" not in refused.value.message


def test_anchors_that_stay_small_are_fine(tmp_path: Path) -> None:
    text = "x: &columns [age, tenure]\nuc1: {numeric: *columns, categorical: *columns}"
    values = yaml_layer(write(tmp_path, text)).values
    assert values["uc1"]["numeric"] == ["age", "tenure"]


def test_a_number_that_yaml_reads_otherwise_is_refused_on_the_command_line_too() -> None:
    with pytest.raises(ConfigError, match=r"uc1\.seed is wrong: 010 would be read as 8"):
        load_settings(overrides=("uc1.seed=010",))
    assert load_settings(overrides=("uc1.positive_label='007'",)).uc1.positive_label == "007"


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("postgres123", "a well-known default"),
        ("MinioAdmin", "a well-known default"),
        ("CHANGE", "a well-known default"),
        ("made-on-this-laptop-Aa1", "one that the laptop's platform made for itself"),
        ("short1", "shorter than 8 characters"),
    ],
)
@pytest.mark.parametrize("environment", ["staging", "production"])
def test_staging_and_production_refuse_secrets_that_are_none(
    environment: str, secret: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("MLOPS_POSTGRES__PASSWORD", secret),
        ("MLOPS_LEDGER__URL", f"postgresql+psycopg2://mlops:{secret}@db/mlops"),
        ("MLOPS_MLFLOW__TRACKING_URI", f"https://user:{secret}@mlflow.example.com"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            with pytest.raises(ConfigError) as refused:
                load_settings(environment)
            assert said in refused.value.message
            assert secret not in f"{refused.value.message} {refused.value.hint}".replace(said, "")
            assert load_settings("development"), "the laptop is nobody else's business"


def test_a_good_secret_passes_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_POSTGRES__PASSWORD", "kX9-of-its-own")
    for environment in ("staging", "production"):
        assert load_settings(environment).postgres.password.get_secret_value() == "kX9-of-its-own"


def refusal(load: Callable[[], Settings]) -> str:
    """The sentence of a refusal, "" where there is none; every other error fails the test."""
    try:
        load()
    except ConfigError as refused:
        return refused.message
    return ""


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.dates(),
    st.sampled_from(["", "010", "1:30", "${HOME}", "{{ x }}", "../..", "\x00", "true", "~", "*a", "2026-02-30"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def known_paths() -> list[tuple[str, ...]]:
    """Every dotted path of a setting, sections included."""
    found: list[tuple[str, ...]] = []

    def walk(model: Any, above: tuple[str, ...]) -> None:
        for name, field in model.model_fields.items():
            found.append((*above, name))
            if hasattr(field.annotation, "model_fields"):
                walk(field.annotation, (*above, name))

    walk(Settings, ())
    return found


@SOME
@given(path=st.sampled_from(known_paths()), value=VALUES)
def test_any_value_of_any_setting_is_taken_or_refused_by_its_path(
    tmp_path: Path, path: tuple[str, ...], value: Any
) -> None:
    document: Any = value
    for part in reversed(path):
        document = {part: document}
    assert "\n" not in refusal(
        lambda: load_settings(config_file=write(tmp_path, yaml.safe_dump(document, allow_unicode=True)))
    )


@SOME
@given(text=st.one_of(st.text(max_size=60), st.text(alphabet="a:-[]{}&*!#'\"|>% \n\t0.1", max_size=40)))
def test_any_text_is_a_configuration_or_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    assert "\n" not in refusal(lambda: load_settings(config_file=write(tmp_path, text)))


@pytest.mark.deep
@SOME
@given(
    path=st.sampled_from([".".join(path) for path in known_paths()]) | st.text(max_size=12),
    text=st.text(max_size=20) | st.sampled_from(["010", "[", "{", "null", "[[[[", "!!x y", "*a", "1:2"]),
)
def test_any_assignment_of_the_command_line_is_taken_or_refused_in_one_sentence(path: str, text: str) -> None:
    assert "\n" not in refusal(lambda: load_settings(overrides=(f"{path}={text}",)))


@pytest.mark.deep
@pytest.mark.timeout(900)
def test_the_same_holds_for_a_thousand_examples_each() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "test_any_", __file__]
    environment = {**os.environ, "PROPERTY_EXAMPLES": "1000"}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stdout[-3000:]
    assert done.stdout.startswith("..."), done.stdout[-3000:]
