"""UC5 step 2: write the champion's model card, filled from what ran.

Reads    FairnessReport's analysis; the champion's tags, MLflow run and plots; the data repository's commits
Writes   cards/<model>/<digest>/{model_card.html,.json,.md,evidence.json,sbom.cdx.json}; run artifacts; tag model_card
Returns  ModelCard
Raises   StepFailed (1) when the fairness report is about another version than the champion

Run it alone:  python uc5_fairness_docs/uc5_02_generate_model_card.py
"""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.cli import main
from common.errors import StepFailed
from common.step import step
from common.tools import Tools
from uc5_fairness_docs.results import FairnessReport, ModelCard
from uc5_fairness_docs.subjects import standing

if TYPE_CHECKING:
    from common.model_versions import Version

PAGE = "model_card.html"
FILES = ("sbom.cdx.json", "evidence.json", "model_card.md", "model_card.json", PAGE)  # the page last


@step(needs=("mlflow", "minio", "dvc"), settings=("uc1.model_name", "uc1.table", "uc1.label", "uc5.card", "uc5.sbom"))
def run(tools: Tools, report: FairnessReport) -> ModelCard:
    """Gather the facts, make the card, hold it against the schema, publish it, point the version to it."""
    from churn.model_card import card, filled, missing
    from uc5_fairness_docs.card_facts import facts

    champion = standing(tools)
    refuse_another(champion, report)
    made = card(facts(tools, champion, report))
    refuse_invalid(made)
    places = published(tools, champion, contents(tools, champion, made))
    point(tools, champion, places[PAGE])
    return ModelCard(
        model_name=champion.name, version=champion.version, digest=champion.digest, page=places[PAGE],
        data=places["model_card.json"], markdown=places["model_card.md"], evidence=places["evidence.json"],
        filled=filled(made), missing=missing(made),
    )  # fmt: skip


def refuse_another(champion: "Version", report: FairnessReport) -> None:
    """Raise StepFailed where the analysis is of other bytes than the champion's."""
    if (report.champion.version, report.champion.digest) != (champion.version, champion.digest):
        raise StepFailed(
            f"The fairness report is about version {report.champion.version}, and version {champion.version} of "
            f"{champion.name} is champion now.",
            "Run `python uc5_fairness_docs/run_pipeline.py`: its first step looks at the champion of today.",
        )


def refuse_invalid(made: dict[str, Any]) -> None:
    """Raise StepFailed where the card is none by Model Card Toolkit's schema."""
    from jsonschema import Draft7Validator
    from jsonschema.exceptions import best_match

    schema = json.loads((Path(__file__).parent / "schema" / "model_card.schema.json").read_text(encoding="utf-8"))
    wrong = best_match(Draft7Validator(schema).iter_errors(made))
    if wrong:
        raise StepFailed(f"The card is not valid at {wrong.json_path}: {wrong.message[:200]}.", "Look at uc5.card.")


def contents(tools: Tools, champion: "Version", made: dict[str, Any]) -> dict[str, bytes]:
    """The card in its three forms, and the evidence."""
    from churn.model_card import missing
    from uc5_fairness_docs.evidence import bill_of_materials, environment, evidence
    from uc5_fairness_docs.page import card_page, card_text

    gone, found = missing(made), environment(tools, champion)
    sbom = {"sbom.cdx.json": bill_of_materials(champion.name, champion.digest, found)}
    return {
        **(sbom if tools.settings.uc5.sbom else {}),
        "evidence.json": json.dumps(evidence(tools, champion, found), indent=2, sort_keys=True).encode(),
        "model_card.md": card_text(made, gone).encode(),
        "model_card.json": json.dumps(made, indent=2, ensure_ascii=False).encode(),
        PAGE: card_page(made, gone).encode(),
    }


def published(tools: Tools, champion: "Version", files: dict[str, bytes]) -> dict[str, str]:
    """Publish the files under their common digest, and among the artifacts of the champion's run."""
    from uc5_fairness_docs.publishing import place

    digest = hashlib.sha256(b"".join(hashlib.sha256(files[name]).digest() for name in sorted(files))).hexdigest()[:32]
    folder = f"cards/{champion.name}/{champion.digest}/{digest}"
    places = {name: place(tools, f"{folder}/{name}", files[name]) for name in FILES if name in files}
    with tempfile.TemporaryDirectory() as directory:
        for name, content in files.items():
            (Path(directory) / name).write_bytes(content)
        tools.mlflow.attach(champion.run_id, Path(directory), "model_card")
    return places


def point(tools: Tools, champion: "Version", page: str) -> None:
    """Tag the version with its card, and with the bytes that the card describes."""
    wanted = {"model_card": page, "model_card_digest": champion.digest}
    if is_new := not wanted.items() <= champion.tags.items():
        tools.mlflow.tag(champion, **wanted)
    tools.context.effect("model_card", f"{champion.name} v{champion.version}", is_new, uri=page)


def observe(tools: Tools) -> dict[str, Any]:
    """Who is champion, what its card would say of it, and whether the card is there.

    Approvals are left out: they are given after the card was read, and each would make another one to approve.
    """
    from uc5_fairness_docs.page import templates_digest

    champion = tools.mlflow.champion(tools.settings.uc1.model_name)
    if champion is None:
        return {"champion": None}
    tags = champion.tags
    page = tags.get("model_card", "")
    return {
        "champion": [champion.version, champion.digest, champion.gate, champion.fairness_gate],
        "drift": [tags.get("drift_share"), tags.get("drift_report")],
        "card": [page, tags.get("model_card_digest"), bool(page) and tools.minio.exists(tools.minio.key(page))],
        "templates": templates_digest(),
    }


if __name__ == "__main__":
    main(__file__)
