"""The interactive page and the card as one self-contained file each: templates, script and style beside this module."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

STATES = {"holds": "within the limit", "open": "above the limit, maybe by chance", "broken": "above the limit"}
NAMES = {"roc_auc": "ROC AUC", "pr_auc": "PR AUC", "brier": "Brier score", "f1": "F1", "selection_rate": "share of yes",
         "true_positive_rate": "hit rate", "false_positive_rate": "false alarm rate"}  # fmt: skip
TEMPLATES = Path(__file__).parent / "templates"


def fairness_page(analysis: dict[str, Any]) -> str:
    """The page: data, script and style inside; it asks nobody for anything."""
    template = environment().get_template("fairness.html.j2")
    return template.render(analysis=analysis, data=for_script(analysis), style=read("page.css"), script=scripts())


def for_script(value: Any) -> str:
    """JSON that may stand inside a script element: no "</script>" of a customer's region ends it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def scripts() -> str:
    """The page's script: parts in order, in one scope."""
    return "\n".join(read(name) for name in ("model.js", "numbers.js", "draw.js", "fairness.js"))


def read(name: str) -> str:
    """A file of ours that is put into a page as it is."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def environment() -> "Environment":
    """Templates that escape what is put into them."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    made = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
    )  # fmt: skip
    made.filters["cell"] = lambda value: " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")
    made.filters["state"] = lambda value: STATES.get(str(value), str(value))
    made.filters["percent"] = lambda value: f"{100 * float(value):.4g} %"
    made.filters["ways"] = ways
    made.filters["words"] = words
    return made


def words(value: Any) -> str:
    """A metric's name as a reader wants it."""
    return NAMES.get(str(value), str(value).replace("_", " "))


def ways(metrics: list[dict[str, Any]]) -> str:
    """How the intervals of these metrics were computed, each way once: "ROC AUC: percentile bootstrap at 95 %"."""
    found: dict[str, dict[str, None]] = {}
    for each in metrics:
        if "confidence_interval" in each:
            interval = each["confidence_interval"]
            way = f"{interval['method']} at {100 * float(interval['level']):.4g} %"
            name = each["slice"] if each.get("slice", "").startswith("by ") else words(each["type"])
            found.setdefault(way, {})[name] = None
    return "; ".join(f"{', '.join(names)}: {way}" for way, names in found.items())


def templates_digest() -> str:
    """Changes with every file that makes a page look or act otherwise."""
    files = sorted(path for path in TEMPLATES.iterdir() if path.is_file())
    content = b"".join(path.name.encode() + b"\n" + path.read_bytes() for path in files)
    return hashlib.sha256(content).hexdigest()


def card_page(card: dict[str, Any], missing: tuple[str, ...]) -> str:
    """The card for people, its plots inside."""
    template = environment().get_template("model_card.html.j2")
    return template.render(card=card, missing=missing, style=read("card.css"), **arranged(card))


def card_text(card: dict[str, Any], missing: tuple[str, ...]) -> str:
    """The card as Markdown, without its plots."""
    template = environment().get_template("model_card.md.j2")
    return template.render(card=card, missing=missing, **arranged(card))


def arranged(card: dict[str, Any]) -> dict[str, Any]:
    """The card's metrics as a reader wants them: of the whole, the differences, a table of groups."""
    metrics = card.get("quantitative_analysis", {}).get("performance_metrics", [])
    groups: dict[str, dict[str, Any]] = {}
    for each in metrics:  # of a slice such as "gender: O"
        if ": " in each.get("slice", ""):
            groups.setdefault(each["slice"], {})[each["type"]] = each
    differences = [each for each in metrics if each.get("slice", "").startswith("by ")]
    return {
        "overall": [each for each in metrics if "slice" not in each],
        "differences": differences,
        "opens": sum(each.get("state") == "open" for each in differences),
        "groups": groups,
        "sliced": [each for metrics in groups.values() for each in metrics.values()],
    }
