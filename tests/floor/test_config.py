"""Configuration: layers in their order, wrong keys by name, embedded or remote by section, secrets never shown."""

import json
from argparse import Namespace
from pathlib import Path

import pytest

from common.config import ROOT, load_settings, load_with_origins
from common.config_shown import listing, schema
from common.config_sources import ignored_tool_variables
from common.errors import ConfigError
from common.session import export

USERS_OWN = """\
environment: development
postgres:
  host: postgresql.postgresql.svc.cluster.local
  port: 5432
  database: mlops
  user: postgres
  password: postgres123
minio:
  endpoint: minio.minio.svc.cluster.local:9000
  access_key: minioadmin
  secret_key: minioadmin123
  bucket: mlops
mlflow:
  tracking_uri: http://mlflow.mlflow.svc.cluster.local:5000
kubeflow:
  host: http://ml-pipeline.kubeflow.svc.cluster.local:8888
feast:
  repo_path: ./feature_repo
uc1:
  raw_data_path: raw/customers.parquet
  model_name: churn-predictor
  namespace: models
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of its own, with a platform that has published two addresses."""
    monkeypatch.setenv("MLOPS_STATE_DIR", str(tmp_path))
    (tmp_path / "pw").write_text("from-a-file\n")
    (tmp_path / "addresses.yaml").write_text(
        f"postgres: {{host: 127.0.0.1, port: 6543, user: mlops, password_file: {tmp_path / 'pw'}}}\n"
        "mlflow: {tracking_uri: 'http://127.0.0.1:5001'}\n"
    )
    (tmp_path / "seeded.yaml").write_text("uc1: {table: customers, label: churned, entity: customer_id}\n")
    return tmp_path


def write(directory: Path, text: str, name: str = "config.yaml") -> Path:
    path = directory / name
    path.write_text(text)
    return path


def test_the_users_own_file_loads_as_it_is_and_runs_embedded(tmp_path: Path) -> None:
    settings = load_settings(config_file=write(tmp_path, USERS_OWN))
    assert settings.environment == "development"
    assert (settings.postgres.host, settings.postgres.port) == ("127.0.0.1", 6543)
    assert settings.postgres.password.get_secret_value() == "from-a-file"
    assert settings.uc1.model_name == "churn-predictor"
    assert (settings.uc1.table, settings.uc1.label) == ("customers", "churned")


def test_a_remote_section_keeps_the_address_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, USERS_OWN.replace("mlflow:\n", "mlflow:\n  embedded: false\n"))
    settings = load_settings(config_file=path)
    assert settings.mlflow.tracking_uri == "http://mlflow.mlflow.svc.cluster.local:5000"
    assert settings.postgres.host == "127.0.0.1"


def test_where_the_laptop_serves_a_canary_sees_replayed_rows_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    assert load_settings(config_file=write(tmp_path, USERS_OWN)).traffic.source == "replay"
    live = write(tmp_path, USERS_OWN + "traffic: {source: live}\n")
    assert load_settings(config_file=live).traffic.source == "live"
    strong = ("postgres.password=a-strong-one-1", "minio.access_key=ours", "minio.secret_key=a-strong-one-2")
    staging = load_settings("staging", write(tmp_path, USERS_OWN), strong)
    assert staging.traffic.source == "live"


def test_outside_development_an_approval_is_given_by_hand_and_for_one_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(tmp_path, USERS_OWN)
    strong = ("postgres.password=a-strong-one-1", "minio.access_key=ours", "minio.secret_key=a-strong-one-2")
    by_hand = load_settings("staging", config, (*strong, "uc6.version=7", "uc6.approve=ada"))
    assert by_hand.uc6.approve == "ada"
    with pytest.raises(ConfigError, match=r"uc6\.approve comes from --set without a version"):
        load_settings("staging", config, (*strong, "uc6.approve=ada"))
    monkeypatch.setenv("MLOPS_UC6__APPROVE", "ada")
    assert load_settings(config_file=config).uc6.approve == "ada"
    with pytest.raises(ConfigError, match=r"uc6\.approve comes from environment; staging takes it from the command"):
        load_settings("staging", config, (*strong, "uc6.version=7"))


def test_a_named_table_of_the_users_own_does_not_get_the_seeded_columns(tmp_path: Path) -> None:
    path = write(tmp_path, USERS_OWN + "  table: orders\n")
    assert load_settings(config_file=path).uc1.label is None


def test_layers_hold_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "uc1: {seed: 1, golden_rows: 1, holdout_share: 0.1}\n")
    write(tmp_path, "uc1: {seed: 2, golden_rows: 2}\n", "config.development.yaml")
    monkeypatch.setenv("MLOPS_UC1__SEED", "3")
    settings, origins = load_with_origins(config_file=path)
    assert (settings.uc1.seed, settings.uc1.golden_rows, settings.uc1.holdout_share) == (3, 2, 0.1)
    assert origins["uc1.seed"] == "environment"
    assert origins["uc1.golden_rows"] == "config.development.yaml"
    assert load_settings(config_file=path, overrides=("uc1.seed=4",)).uc1.seed == 4


def test_a_mounted_secret_is_read_and_a_missing_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "minio: {embedded: false}\n")
    monkeypatch.setenv("MLOPS_MINIO__SECRET_KEY_FILE", str(tmp_path / "pw"))
    assert load_settings(config_file=path).minio.secret_key.get_secret_value() == "from-a-file"
    monkeypatch.setenv("MLOPS_MINIO__SECRET_KEY_FILE", "/nowhere/secret")
    with pytest.raises(ConfigError, match=r"minio\.secret_key_file in the environment names /nowhere/secret"):
        load_settings(config_file=path)


def test_the_tools_own_variables_hold_for_remote_sections_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    path = write(tmp_path, "mlflow: {embedded: false}\n")
    settings = load_settings(config_file=path)
    assert settings.mlflow.tracking_uri == "http://elsewhere"
    assert settings.postgres.host == "127.0.0.1"
    assert ignored_tool_variables({"postgres"}) == ["PGHOST"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("uc1: {model_nmae: x}\n", "There is no setting uc1.model_nmae. Did you mean model_name?"),
        ("postgrse: {}\n", "There is no setting postgrse. Did you mean postgres?"),
        ("postgres: {port: abc}\n", "The setting postgres.port is wrong"),
        ("uc1: {seed: 1, seed: 2}\n", "the key 'seed' is given twice"),
        ("uc1:\n\t- x\n", "is not valid YAML"),
        ("- a list\n", "must hold sections"),
        ("x: " + "y" * 300_000, "larger than"),
        ("kubeflow: {embedded: false}\n", "kubeflow is remote but postgres, minio, mlflow is embedded"),
        ("kubernetes: {embedded: false}\n", "kubernetes is remote but postgres, minio, mlflow is embedded"),
        (
            "".join(f"{each}: {{embedded: false}}\n" for each in ("kubernetes", "postgres", "minio", "mlflow")),
            "kubernetes is remote but prometheus is embedded",
        ),
        ("environment: production\npostgres: {password: postgres123}\n", "postgres.password is a well-known default"),
        ("environment: staging\ngit: {embedded: true}\n", "staging refuses the embedded git"),
        ("environment: production\nuc2: {inject: errors=5%}\n", "production refuses uc2.inject"),
        ("environment: staging\nuc6: {auto_approve: true}\n", "staging refuses uc6.auto_approve"),
        ("argocd: {embedded: false}\n", "argocd is remote but git, kubernetes is embedded"),
        ("uc6: {namespaces: {production: models}}\n", "UC1 and UC6 would both write to the namespace models"),
        ("uc6: {to: prod}\n", "The setting uc6 is wrong: uc6.to is 'prod'"),
        (
            "uc2: {inject: slow=1}\n",
            "The setting uc2.inject is wrong: Faults are latency=300ms, errors=5%",
        ),
        ("uc5: {bins: {age: [60, 30]}}\n", "The setting uc5 is wrong: uc5.bins.age must be numbers that rise"),
        (
            "uc1: {sensitive: [gender]}\nuc5: {limits: {gendr: {max_equalized_odds_difference: 0.02}}}\n",
            "uc5.limits.gendr is about a column that is not in uc1.sensitive. Did you mean gender?",
        ),
        (
            "uc1: {sensitive: [gender]}\nuc5: {bins: {Age: [30]}}\n",
            "uc5.bins.Age is about a column that is not in uc1.sensitive. uc1.sensitive has gender.",
        ),
        ("uc2: {weights: [50, 25, 100]}\n", "The setting uc2 is wrong: uc2.initial_percent and uc2.weights must rise"),
    ],
)
def test_a_wrong_configuration_is_refused_with_what_and_where(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings(config_file=write(tmp_path, text))
    assert sentence in refused.value.message
    assert refused.value.exit_code == 78


def test_a_columns_limits_can_be_taken_out_and_matter_to_nobody_where_no_column_is_sensitive(tmp_path: Path) -> None:
    path = write(tmp_path, "uc1: {sensitive: [gender, age]}\nuc5: {limits: {age: {}}, bins: {age: [30]}}\n")
    with pytest.raises(ConfigError, match=r"uc5\.limits\.age"):
        load_settings(config_file=path, overrides=("uc1.sensitive=[gender]",))
    out = ("uc1.sensitive=[gender]", "uc5.limits.age=null", "uc5.bins.age=null")
    assert load_settings(config_file=path, overrides=out).uc5.limits_of("age")["equalized_odds"] == 0.1
    assert load_settings(config_file=path, overrides=("uc1.sensitive=[]",)).uc1.sensitive == ()


def test_people_are_shown_in_development_unless_told_otherwise_and_nowhere_else_unless_told_so(tmp_path: Path) -> None:
    path, secrets = write(tmp_path, ""), ("postgres.password=long-and-random", "minio.secret_key=long-and-random")
    assert load_settings(config_file=path).uc5.show_people
    assert not load_settings(config_file=path, overrides=("uc5.show_people=false",)).uc5.show_people
    for environment in ("staging", "production"):
        assert not load_settings(environment, path, (*secrets, "uc6.auto_approve=false")).uc5.show_people


def test_a_file_that_was_named_must_exist() -> None:
    with pytest.raises(ConfigError, match="no configuration file"):
        load_settings(config_file=Path("/nowhere/config.yaml"))


@pytest.mark.parametrize("environment", ["development", "staging", "production"])
def test_the_shipped_files_load(environment: str) -> None:
    settings = load_settings(environment)
    assert settings.environment == environment
    assert all(section.embedded == (environment == "development") for section in settings.services().values())


def test_every_shipped_key_has_a_comment_or_stands_in_a_commented_line() -> None:
    lines = (ROOT / "config.yaml").read_text().splitlines()
    for line in lines:
        if line and not line.startswith((" ", "#")):
            assert "#" in line or line.strip() in ("feast:",), line


def test_the_listing_shows_origins_and_no_secret(tmp_path: Path) -> None:
    text = listing(None, write(tmp_path, USERS_OWN), (), origin=True)
    assert "from-a-file" not in text
    assert "minioadmin123" not in text
    assert 'postgres.host = "127.0.0.1"    # the embedded platform' in text
    assert 'uc1.namespace = "models"    # config.yaml' in text


def test_the_schema_for_editors_is_current_and_accepts_the_shipped_file() -> None:
    import jsonschema
    import yaml

    stored = (ROOT / "config.schema.json").read_text()
    assert stored == schema() + "\n", "make it again: python -m common config --schema > config.schema.json"
    jsonschema.validate(yaml.safe_load((ROOT / "config.yaml").read_text()), json.loads(stored))


def test_a_password_cannot_change_the_host_of_a_url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write(tmp_path, "postgres: {embedded: false, host: db, password: 'p@ss/w#d:1'}\n")
    url = load_settings(config_file=path).postgres.url()
    assert (url.host, url.password) == ("db", "p@ss/w#d:1")
    assert "p@ss" not in repr(url)


@pytest.mark.parametrize(
    "assignment",
    [
        "uc1=5", "uc1.as_of=2024-02-30", "uc1.as_of=soon", "uc1.expectations=5", "uc1.numeric={{ columns }}",
        "uc1.seed=1e", "postgres=[]", "environment=[1", "uc1.gate.min_roc_auc=high", "postgres.port=", "=", "uc1.",
    ],
)  # fmt: skip
def test_whatever_is_set_on_the_command_line_is_refused_in_one_sentence(assignment: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings(overrides=(assignment,))
    assert "\n" not in refused.value.message


def test_a_password_of_digits_stays_text_and_a_number_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write(tmp_path, "postgres: {embedded: false}\n")
    monkeypatch.setenv("MLOPS_POSTGRES__PASSWORD", "0123")
    settings = load_settings(config_file=path, overrides=("uc1.table=null", "uc1.seed=7", "uc1.label=no"))
    assert settings.postgres.password.get_secret_value() == "0123"
    assert (settings.uc1.seed, settings.uc1.label, settings.uc1.positive_label) == (7, "no", True)
    lists = load_settings(config_file=path, overrides=("uc1.numeric=[a, b]", "uc1.categorical=[]", "uc1.as_of=null"))
    assert (lists.uc1.numeric, lists.uc1.categorical, lists.uc1.as_of) == (("a", "b"), (), None)
    assert load_settings(config_file=path, overrides=("uc1.as_of=2026-01-01",)).uc1.as_of is not None


def test_a_folder_and_a_broken_file_are_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(config_file=tmp_path)
    for text in ("uc1: {as_of: 2024-02-30}\n", "{{ host }}: 1\n", "uc1: !!python/name:os.system\n"):
        with pytest.raises(ConfigError):
            load_settings(config_file=write(tmp_path, text))


def test_files_are_found_beside_the_file_that_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "minio: {embedded: false, secret_key_file: pw}\n")
    monkeypatch.chdir("/")
    assert load_settings(config_file=path).minio.secret_key.get_secret_value() == "from-a-file"


def test_child_processes_get_what_was_set_on_the_command_line_letter_by_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLOPS_CONFIG_FILE", "MLOPS_SET"):
        monkeypatch.setenv(name, "")  # so that what export writes is undone
        monkeypatch.delenv(name)
    file = write(tmp_path, "uc1: {ordered: {other: [a, b]}}")
    given = ["uc1.ordered.Level=[low, high]", "uc1.seed=7", "kubeflow.token=0123=5"]
    export(Namespace(env=None, config=file, set=given))
    export(Namespace(env=None, config=file, set=["uc1.seed=8"]))  # a process below, with one of its own
    here, child = load_settings(None, file, tuple(given)), load_settings()
    assert child.uc1.ordered == here.uc1.ordered == {"other": ("a", "b"), "Level": ("low", "high")}
    assert child.uc1.seed == 8
    assert child.kubeflow.token.get_secret_value() == "0123=5"


def test_a_variable_of_assignments_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("uc1.seed=7", "[7]", "{}", ""):
        monkeypatch.setenv("MLOPS_SET", text)
        with pytest.raises(ConfigError, match="MLOPS_SET is no JSON list"):
            load_settings()
