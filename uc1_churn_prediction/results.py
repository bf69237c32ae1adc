"""What UC1's steps return: small pointers at data, typed. How the report shows them stands in shown.py."""

from typing import TYPE_CHECKING, ClassVar

from common.keys import digest_of
from common.step import Assertion, Dataset, Result, Section, of_another_model
from uc1_churn_prediction import shown

if TYPE_CHECKING:
    from common.settings import Settings
    from common.settings_uc1 import Uc1

ROW_NUMBER = "row_number"  # the entity of a table that names none: the place of a row in its snapshot, from 0


def view_name(model_name: str) -> str:
    """The feature view that a model's features stand in."""
    return f"{model_name}-features"


def source_digest(uc1: "Uc1") -> str:
    """Digest of what the settings say is to be extracted."""
    return digest_of([uc1.table, uc1.query, str(uc1.as_of), sorted(uc1.dropped)])[:16]


class Column(Result):
    """A column of the snapshot; `type` is its Arrow type, as text."""

    name: str
    type: str


class RawCustomers(Result):
    """A snapshot of the source: one parquet object named by the digest of its content, whatever the row order.

    `source` is the digest of the settings that say what was extracted.
    """

    volatile: ClassVar[frozenset[str]] = frozenset({"sha256", "size_bytes", "source"})

    table: str
    uri: str
    digest: str
    sha256: str
    rows: int
    size_bytes: int
    columns: tuple[Column, ...]
    entity: str
    label: str
    event_time: str | None
    source: str = ""

    def differs(self, settings: "Settings") -> str:
        uc1 = settings.uc1
        if self.table != (uc1.table or "query"):
            return f"is of {'the query' if self.table == 'query' else self.table}, not of {uc1.table or 'the query'}"
        roles = {"entity": uc1.entity or ROW_NUMBER, "label": uc1.label, "event_time": uc1.event_time}
        for role, name in roles.items():
            if getattr(self, role) != name:
                return f"was made with {getattr(self, role)} as uc1.{role}, not {name}"
        if self.source not in ("", source_digest(uc1)):
            return "was made with another uc1.query, uc1.as_of or uc1.dropped"
        folder = f"s3://{settings.minio.bucket}/{uc1.raw_data_path.removesuffix('.parquet')}"
        return "" if self.uri.rsplit("/", 1)[0] == folder else f"is {self.uri}, not in {folder}"

    @property
    def has_entity(self) -> bool:
        """False where rows are known by their number in the snapshot."""
        return self.entity != ROW_NUMBER or ROW_NUMBER in {column.name for column in self.columns}

    @property
    def shown_entity(self) -> str:
        return self.entity if self.has_entity else "none: the number of the row"

    def reads(self) -> tuple[Dataset, ...]:
        return (Dataset(kind="table", name=self.table, rows=self.rows, columns=self._columns()),)

    def writes(self) -> tuple[Dataset, ...]:
        return (self.dataset(),)

    def dataset(self) -> Dataset:
        """The snapshot as a dataset: its prefix is the name, its digest the version."""
        same = tuple((column.name, column.name) for column in self.columns)
        return Dataset(kind="object", name=self.uri.rsplit("/", 1)[0], digest=self.digest, rows=self.rows,
                       columns=self._columns(), columns_from=same)  # fmt: skip

    def summary(self) -> str:
        numbered = "" if self.has_entity else ", without an entity: rows are known by their number"
        return f"{self.rows:,} rows, digest {self.digest[:12]}{numbered}"

    def sections(self) -> tuple[Section, ...]:
        return (shown.snapshot(self),)

    def _columns(self) -> tuple[tuple[str, str], ...]:
        return tuple((column.name, column.type) for column in self.columns)


class DataVersion(Result):
    """The snapshot as a commit of the data repository. `repository` is its git URL without credentials."""

    volatile: ClassVar[frozenset[str]] = frozenset({"repository"})

    raw: RawCustomers
    path: str
    md5: str
    commit: str
    remote: str
    repository: str = ""

    def differs(self, settings: "Settings") -> str:
        return self.raw.differs(settings)

    def reads(self) -> tuple[Dataset, ...]:
        return (self.raw.dataset(),)

    def writes(self) -> tuple[Dataset, ...]:
        return (Dataset(kind="data_repository", name=self.path, digest=self.commit, rows=self.raw.rows),)

    def summary(self) -> str:
        return f"commit {self.commit[:12]}"

    def sections(self) -> tuple[Section, ...]:
        return (shown.version(self),)


class Check(Result):
    """One expectation and how it went; `examples` names entities that break it."""

    name: str
    column: str
    severity: str
    success: bool
    unexpected: int
    examples: tuple[str, ...] = ()


class ValidCustomers(Result):
    """A snapshot that no critical expectation speaks against."""

    volatile: ClassVar[frozenset[str]] = frozenset({"data_docs"})

    raw: RawCustomers
    checks: tuple[Check, ...]
    data_docs: str

    def differs(self, settings: "Settings") -> str:
        return self.raw.differs(settings)

    def reads(self) -> tuple[Dataset, ...]:
        held = tuple(
            Assertion(name=each.name, success=each.success, column=each.column, severity=each.severity)
            for each in self.checks
        )
        return (self.raw.dataset().model_copy(update={"assertions": held}),)

    def writes(self) -> tuple[Dataset, ...]:
        prefix, digest, _ = self.data_docs.rsplit("/", 2)  # <prefix>/<digest of data and suite>/index.html
        return (Dataset(kind="object", name=prefix, digest=digest),)

    def summary(self) -> str:
        broken = sum(not check.success for check in self.checks)
        return f"{len(self.checks) - broken} of {len(self.checks)} expectations hold" + (
            f", {broken} warnings" if broken else ""
        )

    def sections(self) -> tuple[Section, ...]:
        return (shown.checks(self),)

    def links(self) -> tuple[tuple[str, str], ...]:
        return (("Data Docs", shown.data_docs(self.data_docs)),)


class CustomerFeatures(Result):
    """The features in the store: offline as one parquet object, online by entity."""

    raw: RawCustomers
    uri: str
    digest: str
    view: str
    service: str
    rows: int
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    online_rows: int
    inferred: bool = False
    left_out: tuple[tuple[str, str], ...] = ()

    def differs(self, settings: "Settings") -> str:
        wanted = view_name(settings.uc1.model_name)
        of_another = "" if self.view == wanted else f"is view {self.view}, not {wanted}"
        return self.raw.differs(settings) or of_another

    def reads(self) -> tuple[Dataset, ...]:
        return (self.raw.dataset(),)

    def writes(self) -> tuple[Dataset, ...]:
        columns = tuple((n, "float") for n in self.numeric) + tuple((n, "string") for n in self.categorical)
        same = tuple((name, name) for name, _ in columns)
        return (Dataset(kind="feature_view", name=self.view, digest=self.digest, rows=self.rows, columns=columns,
                        columns_from=same),)  # fmt: skip

    def summary(self) -> str:
        found = f" (inferred; {len(self.left_out)} columns left out)" if self.inferred else ""
        return (
            f"{len(self.numeric)} numeric, {len(self.categorical)} categorical{found}; {self.online_rows:,} rows online"
        )

    def sections(self) -> tuple[Section, ...]:
        return (shown.features(self),)


class ModelVersion(Result):
    """A registered version. `digest` is the SHA-256 of its ONNX file, `uri` the folder that KServe loads.

    `pictures` is the folder of its evaluation's plots.
    """

    version: str
    algorithm: str
    state: str
    digest: str
    uri: str
    run_id: str
    metrics: dict[str, float]
    gate: str
    pictures: str = ""


class TrainedModels(Result):
    """What one run of the training pipeline registered, in the order of uc1.algorithms.

    `snapshot` is the URI of the object that the labels came from; its name is its digest.
    """

    model_name: str
    features_digest: str
    versions: tuple[ModelVersion, ...]
    champion: str
    pipeline_uri: str
    pipeline_run: str
    snapshot: str = ""

    def differs(self, settings: "Settings") -> str:
        return of_another_model(self.model_name, settings)

    def reads(self) -> tuple[Dataset, ...]:
        features = Dataset(kind="feature_view", name=view_name(self.model_name), digest=self.features_digest)
        prefix, _, file = self.snapshot.rpartition("/")
        labels = Dataset(kind="object", name=prefix, digest=file.removesuffix(".parquet"))
        return (features, labels) if prefix else (features,)

    def writes(self) -> tuple[Dataset, ...]:
        return tuple(Dataset(kind="model", name=self.model_name, digest=v.digest) for v in self.versions)

    def summary(self) -> str:
        # Who is champion is left out: a canary may have changed it since, and an unchanged step repeats this line.
        each = [f"v{v.version} {v.algorithm} AUC {v.metrics.get('roc_auc', float('nan')):.3f}" for v in self.versions]
        return "; ".join(each)

    def sections(self) -> tuple[Section, ...]:
        return shown.models(self)


class ServedModel(Result):
    """The champion behind its endpoint, after its golden predictions came back right. `example` is a JSON row.

    Where it was `left_to_the_canary` nothing was deployed and no golden row was asked: who serves is being decided.
    """

    volatile: ClassVar[frozenset[str]] = frozenset({"url", "max_difference", "example"})

    model_name: str
    namespace: str
    version: str
    digest: str
    uri: str
    url: str
    runtime: str
    golden_rows: int
    max_difference: float
    example: str = "{}"
    left_to_the_canary: bool = False

    @property
    def changed_nothing(self) -> bool:
        return self.left_to_the_canary

    @property
    def is_provisional(self) -> bool:
        return self.left_to_the_canary

    def reads(self) -> tuple[Dataset, ...]:
        return () if self.left_to_the_canary else (Dataset(kind="model", name=self.model_name, digest=self.digest),)

    def writes(self) -> tuple[Dataset, ...]:
        written = Dataset(kind="service", name=f"{self.namespace}/{self.model_name}", digest=self.digest)
        return () if self.left_to_the_canary else (written,)

    def summary(self) -> str:
        if self.left_to_the_canary:
            return f"{self.model_name} left to the canary; no golden predictions asked"
        return f"{self.model_name} at {self.url}; {self.golden_rows} golden predictions agreed"

    def sections(self) -> tuple[Section, ...]:
        return (shown.left_to_the_canary(self) if self.left_to_the_canary else shown.service(self),)

    def links(self) -> tuple[tuple[str, str], ...]:
        return () if self.left_to_the_canary else (("Model", self.url), ("Try it", shown.curl(self)))
