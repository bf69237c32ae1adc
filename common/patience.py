"""How long clients wait for an answer: each its own limit, all shortened by one variable.

MLOPS_TIMEOUT_SCALE=0.1 makes 14 seconds 1.4, for tests of what happens when time runs out. Four tries of ANSWER_SECONDS
fit into the 60 seconds that a retry policy has (common/retry.py).
"""

import os

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 14.0


def patience(seconds: float) -> float:
    """The limit as it holds in this process."""
    return seconds * float(os.environ.get("MLOPS_TIMEOUT_SCALE") or 1)
