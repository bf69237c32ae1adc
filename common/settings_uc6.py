"""The settings of UC6: what is promoted where, and who must have approved it."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from common.names import DnsLabel, PersonOrEmpty, commit, or_empty

LAST = "last"
Rollback = Annotated[str, or_empty(lambda text, what: text if text == LAST else commit(text, what))]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Uc6(_Part):
    """UC6: GitOps. The champion goes to an environment by a commit, which Argo CD rolls out."""

    to: str = Field("production", description="Environment to promote to: the name of an overlay.")
    namespaces: dict[DnsLabel, DnsLabel] = Field(
        {"staging": "models-staged", "production": "models-production"},
        description="Namespace that each environment's overlay deploys to.",
    )
    version: int | None = Field(None, ge=1, strict=True, description="Version to promote; null: the champion.")
    auto_approve: bool = Field(False, description="In development: promote without a person's approval, and say so.")
    approve: PersonOrEmpty = Field("", description="Name of the person who approves; --approve sets it.")
    allowed_schemes: tuple[str, ...] = Field(("s3",), description="Schemes of model addresses that may be deployed.")
    allowed_buckets: tuple[str, ...] = Field((), description="Buckets they may lie in; empty: only minio.bucket.")
    timeout_seconds: int = Field(300, ge=1, le=1500, description="How long a roll-out may take.")
    rollback: Rollback = Field("", description=f'Take back: "{LAST}" promotion, or a commit and all after it.')

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.to not in self.namespaces:
            raise ValueError(f"uc6.to is {self.to!r}, and uc6.namespaces has {', '.join(self.namespaces)}")
        return self

    @property
    def namespace(self) -> str:
        """Where the chosen environment's models are served."""
        return self.namespaces[self.to]
