"""Faults to inject into a canary on purpose: what can be said, and no more. The model server acts on it.

latency=300ms,errors=5%,wrong=20%: answer later, answer so many requests with 500, turn so many rows' p into 1-p.
"""

import re
from dataclasses import dataclass

from common.errors import ConfigError

GRAMMAR = "latency=300ms, errors=5% or wrong=20%, or several joined by commas"
LATENCY_LIMIT_MS = 60_000
_NUMBER = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)"
_LATENCY = re.compile(_NUMBER + "(ms|s)")
_SHARE = re.compile(_NUMBER + "%")


@dataclass(frozen=True)
class Faults:
    """What is injected: nothing, unless said. `errors` is a share of requests, `wrong` a share of rows."""

    latency_ms: float = 0.0
    errors: float = 0.0
    wrong: float = 0.0


def parse(text: str) -> Faults:
    """The faults that a text asks for; "" asks for none. Raises ConfigError, in one sentence, for any other text."""
    found: dict[str, float] = {}
    for part in text.split(",") if text.strip() else ():
        name, _, value = (word.strip() for word in part.partition("="))
        if name in found:
            raise ConfigError(f"The fault {name} is given twice.")
        found[name] = _amount(name, value, part.strip())
    return Faults(found.get("latency", 0.0), found.get("errors", 0.0), found.get("wrong", 0.0))


def _amount(name: str, value: str, part: str) -> float:
    pattern = {"latency": _LATENCY, "errors": _SHARE, "wrong": _SHARE}.get(name)
    said = pattern.fullmatch(value) if pattern else None
    if said is None:
        raise ConfigError(f"Faults are {GRAMMAR}; not {part[:60]!r}.")
    if name == "latency":
        return _within(LATENCY_LIMIT_MS, float(said[1]) * (1000 if said[2] == "s" else 1), f"{part} is above 60 s.")
    return _within(1, float(said[1]) / 100, f"{part} is above 100%.")


def _within(limit: float, amount: float, sentence: str) -> float:
    if amount > limit:
        raise ConfigError(f"The fault {sentence}")
    return amount
