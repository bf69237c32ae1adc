"""UC5 step 1: what the What-If Tool gave - the champion's fairness, beside a challenger, on one interactive page.

Reads    the registry's champion and whom it is compared with; their ONNX files, and the champion's snapshot, from S3
Writes   fairness/<model>/<digest>/{fairness.html,fairness.json,fairness.png}; tags fairness_gate on both versions
Returns  FairnessReport
Raises   GateRefused (3) naming the groups; InvalidData (65) for groups that training had not, or another model's bytes

Run it alone:  python uc5_fairness_docs/uc5_01_fairness_analysis_wit.py
"""

from typing import TYPE_CHECKING, Any

from common.cli import main
from common.errors import GateRefused
from common.step import step
from common.tools import Tools
from uc5_fairness_docs.results import FairnessReport
from uc5_fairness_docs.subjects import beside, opened, opened_beside, standing

if TYPE_CHECKING:
    from churn.fairness import Verdict
    from uc5_fairness_docs.holdout import Holdout
    from uc5_fairness_docs.subjects import Subject

JUDGED_BY = (
    "uc5.max_demographic_parity_difference", "uc5.max_equalized_odds_difference", "uc5.limits", "uc5.confidence",
    "uc5.refuse_by", "uc5.min_group_rows", "uc5.bins", "uc5.cost_ratio", "uc5.show_people",
)  # fmt: skip


@step(
    needs=("mlflow", "minio"),
    settings=("uc1.model_name", "uc1.entity", "uc1.label", "uc1.positive_label", "uc1.sensitive", "uc1.holdout_share",
              "uc1.seed", *JUDGED_BY),
)  # fmt: skip
def run(tools: Tools) -> FairnessReport:
    """Judge both models, publish the page, write the verdicts down; refuse last, when all of it is there."""
    from uc5_fairness_docs.analysis import analysed, judged
    from uc5_fairness_docs.holdout import kept_back
    from uc5_fairness_docs.publishing import published
    from uc5_fairness_docs.reporting import report

    champion = opened(tools, standing(tools))
    holdout = kept_back(tools, champion)
    subjects = both(tools, champion, holdout)
    verdicts = tuple(judged(tools.settings, subject, holdout) for subject in subjects)
    analysis = analysed(tools.settings, subjects, holdout, verdicts)
    places = published(tools, analysis)
    note(tools, subjects, verdicts)
    made = report(tools.settings, subjects, holdout, verdicts, analysis, places)
    refuse_unfair(made, verdicts[0])
    return made


def both(tools: Tools, champion: "Subject", holdout: "Holdout") -> "tuple[Subject, ...]":
    """The champion, and the challenger where one can be compared on the same rows."""
    challenger = opened_beside(tools, beside(tools, champion.version), list(holdout.frame.columns))
    return (champion, challenger) if challenger else (champion,)


def note(tools: Tools, subjects: "tuple[Subject, ...]", verdicts: "tuple[Verdict, ...]") -> None:
    """Write each verdict on its version, bound to the bytes that were judged."""
    for subject, verdict in zip(subjects, verdicts, strict=True):
        wanted = {"fairness_gate": str(verdict), "fairness_gate_digest": subject.version.digest}
        if is_new := not wanted.items() <= subject.version.tags.items():
            tools.mlflow.tag(subject.version, **wanted)
        name = f"{subject.version.name} v{subject.version.version}"
        tools.context.effect("fairness_gate", name, is_new, verdict=str(verdict))


def refuse_unfair(made: FairnessReport, verdict: "Verdict") -> None:
    """Raise GateRefused, with the report, where the champion breaks a limit."""
    if verdict.reasons:
        raise GateRefused(
            f"Version {made.champion.version} of {made.model_name} is not fair enough: {'; '.join(verdict.reasons)}.",
            "Look at the page in the report: what other thresholds would do, and what it costs. The limits are uc5.*.",
            result=made,
        )


def observe(tools: Tools) -> dict[str, Any]:
    """Who is judged, whether the verdicts are on them, and the page is where its JSON is."""
    from uc5_fairness_docs.publishing import is_published, templates_digest

    champion = tools.mlflow.champion(tools.settings.uc1.model_name)
    if champion is None:
        return {"champion": None}
    rival = beside(tools, champion)
    return {
        "champion": [champion.version, champion.digest, champion.tags.get("data_uri"), champion.fairness_gate],
        "beside": [rival.version, rival.digest, rival.fairness_gate] if rival else None,
        "published": is_published(tools, champion.digest), "templates": templates_digest(),
    }  # fmt: skip


if __name__ == "__main__":
    main(__file__)
