"""How the report, and the lines at the end of a run, show UC6's results."""

import shlex
from typing import TYPE_CHECKING

from common.step import Section, Table

if TYPE_CHECKING:
    from uc6_gitops_deployment.results import PromotedModel, SyncedDeployment


def promotion(made: "PromotedModel") -> Section:
    """The commit, and what it says."""
    facts = (
        ("commit", made.commit), ("repository", made.repository), ("overlay", f"overlays/{made.environment}"),
        ("namespace", made.namespace), ("model", made.uri), *made.trailers,
    )  # fmt: skip
    title = f"v{made.version} of {made.model_name} promoted to {made.environment}"
    text = "" if made.created else "The overlay had this version already: no commit was made."
    return Section(title=title, text=text, facts=facts)


def delivery(made: "SyncedDeployment") -> tuple[Section, ...]:
    """What runs, and how it came there."""
    facts = (
        ("application", made.application), ("sync", f"{made.sync} at {made.commit}"), ("health", made.health),
        ("service", f"{made.namespace}/{made.service} at {made.url}"), ("model", f"v{made.version}, {made.digest}"),
        ("golden predictions", f"{made.golden_rows} agreed, largest difference {made.max_difference:.1g}"),
    )  # fmt: skip
    text = f"v{made.rolled_back} was rolled back and is held." if made.rolled_back else ""
    commits = Table(columns=("commit", "when", "what"), rows=made.history)
    return (
        Section(title=f"{made.environment.capitalize()} as git says", text=text, facts=facts),
        Section(title=f"Commits of {made.environment}", table=commits),
    )


def curl(made: "SyncedDeployment") -> str:
    """A command that asks the endpoint."""
    body = shlex.quote(f'{{"instances": [{made.example}]}}')
    return f"curl -s -H 'Content-Type: application/json' -d {body} {made.url}/v1/models/{made.service}:predict"
