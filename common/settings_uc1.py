"""The settings of UC1: which table, which columns, what is expected of them, when a model is good enough."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from common.names import DnsLabel, ModelName, ObjectKey


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Expectations(_Part):
    """What must hold of the snapshot before anything is trained on it."""

    min_rows: int = Field(100, ge=1, description="Fewer rows than this are refused.")
    max_null_share: float = Field(0.05, ge=0, le=1, description="Warn where a feature has more nulls than this.")
    required: tuple[str, ...] = Field((), description="Columns that must never be null.")
    ranges: dict[str, tuple[float | None, float | None]] = Field(
        {}, description="Column: [lowest, highest] allowed value; null leaves an end open."
    )
    max_single_auc: float = Field(
        0.99,
        ge=0.5,
        le=1,
        description="Warn where a feature alone tells the classes apart so well: does the label leak?",
    )
    sets: dict[str, tuple[str, ...]] = Field({}, description="Column: the values it may have.")


class Gate(_Part):
    """What a model must reach on the hold-out to be proposed."""

    min_roc_auc: float = Field(0.65, ge=0, le=1, description="Floor of the area under the ROC curve.")
    max_brier: float = Field(0.25, ge=0, le=1, description="Ceiling of the Brier score.")
    max_roc_auc_drop: float = Field(0.01, ge=0, le=1, description="How much worse than the champion it may be.")


class Uc1(_Part):
    """UC1, churn: from a table to an endpoint. Any table with an entity and a label will do."""

    raw_data_path: ObjectKey = Field("raw/customers.parquet", description="Key in the bucket of the latest snapshot.")
    model_name: ModelName = Field("churn-predictor", description="Name of the registered model and its service.")
    namespace: DnsLabel = Field("models", description="Kubernetes namespace that the model is served in.")
    table: str | None = Field(None, description="Source table, or schema.table.")
    query: str | None = Field(None, description="A SELECT in place of the table.")
    entity: str | None = Field(None, description="Column that identifies a row; null: its number in the snapshot.")
    label: str | None = Field(None, description="Column to predict.")
    positive_label: bool | int | float | str = Field(True, description="Value of the label that means yes.")
    event_time: str | None = Field(None, description="Column that says when the row was true.")
    as_of: datetime | None = Field(None, description="Ignore rows later than this.")
    numeric: tuple[str, ...] = Field((), description="Numeric features; this and the next empty: inferred.")
    categorical: tuple[str, ...] = Field((), description="Categorical features.")
    ordered: dict[str, tuple[str, ...]] = Field(
        {}, description="Categorical column: its values in their order, lowest first."
    )
    sensitive: tuple[str, ...] = Field((), description="Fairness is judged by these; features if listed there too.")
    dropped: tuple[str, ...] = Field((), description="Columns that are never read.")
    expectations: Expectations = Expectations()
    algorithms: tuple[str, ...] = Field(
        ("logistic_regression", "gradient_boosting"), min_length=1, description="Trained in this order."
    )
    holdout_share: float = Field(0.2, gt=0, lt=1, description="Share of entities kept back to judge models.")
    seed: int = Field(42, description="Seed of everything random.")
    golden_rows: int = Field(20, ge=1, description="Rows whose answers the served model must repeat.")
    gate: Gate = Gate()
