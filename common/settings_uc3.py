"""The settings of UC3: what is compared with what, from where on it is drift, and when retraining follows."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from common.names import DnsLabel
from common.uris import HttpUrl, TableOrUri


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ColumnLimits(_Part):
    """From where on one column has drifted: it moved by more than one of the sizes, and not by chance."""

    psi: float = Field(0.2, gt=0, description="Population stability index above this: it moved.")
    kl: float = Field(0.1, gt=0, description="Kullback-Leibler divergence above this, in nats: it moved.")
    p_value: float = Field(0.05, gt=0, lt=1, description="Kolmogorov-Smirnov or chi-square below this: not by chance.")
    multiple_testing: Literal["holm", "none"] = Field("holm", description="Correction for the number of columns.")


class ReplayedPopulation(_Part):
    """Whom to send to the service once, so that a laptop without users has drift to find."""

    table: TableOrUri = Field("", description="Table of customers that are sent as traffic, once a model; empty: none.")
    rows: int = Field(2000, ge=1, description="How many of them, in one request each.")


class LateLabels(_Part):
    """What became of those who were predicted: known later, from a table of the user's own."""

    query: str = Field("", description="SELECT of request_id, label, known since :since; empty: none are.")
    days: int = Field(30, ge=1, description="Predictions of so many days are looked at.")
    tolerated_drop: float = Field(
        0.02, ge=0, le=1, description="Alert where ROC AUC is surely lower by more than this."
    )


class Uc3(_Part):
    """UC3: drift of what production saw, and retraining that follows without looping."""

    reference: TableOrUri = Field(
        "champion", description="champion: what it was trained on; else a table, or s3:// URI of a parquet object."
    )
    current: TableOrUri = Field(
        "log", description="log: the predictions since last time; else a table, or s3:// URI of a parquet object."
    )
    columns: tuple[str, ...] = Field((), description="Columns that are compared; empty: the model's inputs.")
    min_rows: int = Field(500, ge=2, description="Fewer new rows than this are left for the next time.")
    limits: ColumnLimits = ColumnLimits()
    drift_threshold: float = Field(0.3, ge=0, le=1, description="Retrain above this share of drifted columns.")
    high_drift_threshold: float = Field(0.5, ge=0, le=1, description="Alert above this share of drifted columns.")
    fail_on_drift: bool = Field(False, description="End with exit 3 where there is drift.")
    draw: Literal["drifted", "always"] = Field("drifted", description="When Evidently draws its report.")
    evidently_rows: int = Field(10_000, ge=100, description="Rows of each side that Evidently draws its report from.")
    late_labels: LateLabels = LateLabels()
    pushgateway_url: HttpUrl = Field("", description="Prometheus Pushgateway for the gauges; empty: only a file.")
    pipeline: DnsLabel = Field("churn-training", description="Name of the published Kubeflow pipeline that retrains.")
    fresh: tuple[str, ...] = Field(
        (), description="Labelled tables that retraining learns from; empty: UC1's own table or query."
    )
    cooldown_hours: float = Field(6, ge=0, description="No second retraining within so many hours.")
    retrainings_per_day: int = Field(3, ge=0, description="At most so many within 24 hours; 0: never.")
    replay: ReplayedPopulation = ReplayedPopulation()

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.high_drift_threshold < self.drift_threshold:
            raise ValueError("uc3.high_drift_threshold must not be below uc3.drift_threshold")
        return self
