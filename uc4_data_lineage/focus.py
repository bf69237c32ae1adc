"""Finds what a person means by `customers`: a node of the graph, by its whole name or by the last part of it."""

import difflib
import re
from collections.abc import Collection, Sequence
from typing import Any

from common.errors import UsageError
from common.lineage_graph import KINDS, SCHEMES

Document = dict[str, Any]


def chosen(text: str, found: Sequence[Document], ours: Collection[str] = ()) -> str:
    """The id of the node that is meant. Raises UsageError where nothing is, or several are, naming those that are near.

    The whole name counts more than its end, what is on servers of `ours` more than what others told the same server,
    and what stands further up the stream more than what is made of it: a table and the snapshots of it have the same
    last name.
    """
    ranked = sorted((rank, str(each["nodeId"])) for each in found if (rank := _rank(text, each, ours)) is not None)
    if not ranked:
        near = ", ".join(_near(text, sorted({str(each["name"]) for each in found})))
        raise UsageError(
            f"Lineage knows no dataset, model, service or step called {text}.",
            f"Near it: {near}." if near else "Has it run? `python run_all.py` runs everything.",
        )
    best = [node for rank, node in ranked if rank == ranked[0][0]]
    if len(best) > 1:
        raise UsageError(f"{text} may be {' or '.join(best)}.", "Give the whole name, or the id.")
    return best[0]


def _rank(text: str, found: Document, ours: Collection[str]) -> tuple[int, bool, int] | None:
    """How well a node fits, smaller is better; None where it does not."""
    names = (str(found["nodeId"]), str(found["name"]), *_ends(str(found["name"])))
    place = next((n for n, name in enumerate(names) if name == text), None)
    if place is None:
        return None
    kind = SCHEMES.get(str(found["namespace"]).split(":")[0], "job")
    return min(place, 2), found["namespace"] not in ours, KINDS.index(kind) if kind in KINDS else len(KINDS)


def _ends(name: str) -> Sequence[str]:
    """The last parts of a name: of a path, of a qualified table, of a job with its pipeline."""
    return [name[match.end() :] for match in re.finditer(r"[./]", name)]


def _near(text: str, names: Sequence[str]) -> list[str]:
    """Names that are written much like it, wholly or in their last part; else the first few."""
    ends = {end: name for name in names for end in (name, *_ends(name))}
    alike = difflib.get_close_matches(text, ends, 5, 0.6)
    return list(dict.fromkeys(ends[end] for end in alike)) or list(names[:5])


def asked(text: str) -> str:
    """What to search for: the name in a node's id, or the text itself."""
    return text.rsplit(":", 1)[-1] if text.startswith(("dataset:", "job:")) else text
