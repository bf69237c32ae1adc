"""Pages in object storage, named by what they show: the same analysis is the same object."""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uc5_fairness_docs.page import fairness_page, templates_digest
from uc5_fairness_docs.picture import draw

if TYPE_CHECKING:
    from common.tools import Tools

__all__ = ["is_published", "place", "published", "templates_digest"]
FILES = ("fairness.json", "fairness.png", "fairness.html")  # the page last: where it is, all of it is


def published(tools: "Tools", analysis: dict[str, Any]) -> dict[str, str]:
    """Publish the analysis as page, JSON and picture; returns their URIs by file name."""
    data = json.dumps(analysis, ensure_ascii=False, separators=(",", ":"))
    folder = f"fairness/{analysis['model']}/{analysis['models'][0]['digest']}/{digest_of_page(data)}"
    page = fairness_page(analysis).encode()
    contents = {"fairness.json": data.encode(), "fairness.png": draw(analysis), "fairness.html": page}
    return {name: place(tools, f"{folder}/{name}", contents[name]) for name in FILES}


def digest_of_page(data: str) -> str:
    """Names what the page shows and how it shows it."""
    return hashlib.sha256(f"{templates_digest()}\n{data}".encode()).hexdigest()[:32]


def place(tools: "Tools", key: str, content: bytes) -> str:
    """Create the object unless it is there; returns its URI."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / key.rsplit("/", 1)[-1]
        path.write_bytes(content)
        made = tools.minio.publish(key, path)
    tools.context.effect("object", made.uri, made.created)
    return made.uri


def is_published(tools: "Tools", digest: str) -> list[str]:
    """The pages that exist for a model."""
    prefix = f"fairness/{tools.settings.uc1.model_name}/{digest}/"
    return sorted(each.key for each in tools.minio.list(prefix) if each.key.endswith(FILES))
