"""Who sees the candidate, how far two models disagree, and whether one converts better."""

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from churn.proportions import wilson
from churn.windows import Shadow

if TYPE_CHECKING:
    from churn.model import Probabilities

TWO_TO_64 = 2**64


def assign(user_id: str, share: float, salt: str) -> bool:
    """Return True where a user belongs to the candidate's group: a share of all users, in [0, 1].

    The hash of the salted id is a number in [0, 1) that stays the user's own (Kohavi, Tang and Xu, 2020, ch. 13):
    who is in stays in while the share grows. Another salt, of another experiment, draws independent groups.
    """
    # The salt is hashed by itself, to a fixed length: ("ab", "c") and ("a", "bc") must not meet.
    key = hashlib.blake2b(salt.encode(), digest_size=32).digest()
    position = int.from_bytes(hashlib.blake2b(user_id.encode(), digest_size=8, key=key).digest(), "big")
    return position < share * TWO_TO_64


def selected(request_id: str, share: float) -> bool:
    """Return True for the share of requests that the champion scores too: the same ones, whoever asks."""
    return assign(request_id, share, "shadow")


def disagreement(candidate: "Probabilities", champion: "Probabilities", threshold: float) -> Shadow:
    """Count the rows on which two models decide differently. A NaN agrees with nothing.

    Decisions are compared, not probabilities: two good models differ by some percent everywhere.
    """
    import numpy as np

    left, right = np.asarray(candidate), np.asarray(champion)
    if left.shape != right.shape:
        raise ValueError(f"{left.size} answers of the candidate cannot be compared with {right.size} of the champion")
    differing = ((left >= threshold) != (right >= threshold)) | np.isnan(left) | np.isnan(right)
    return Shadow(scored=left.size, disagreeing=int(differing.sum()))


@dataclass(frozen=True)
class Comparison:
    """Conversion of B minus that of A, its interval, and the two-sided p-value of "no difference"."""

    difference: float
    interval: tuple[float, float]
    p_value: float


def compare_conversion(
    users_a: int, conversions_a: int, users_b: int, conversions_b: int, level: float = 0.95
) -> Comparison:
    """Compare two conversion rates; the difference is B - A, a share.

    The p-value is that of the two-proportion z-test with the pooled rate (Fleiss, Levin and Paik, 2003, ch. 3); the
    interval combines both arms' score intervals (Newcombe, 1998, method 10), which stays right for rare conversions.
    Raises ValueError where an arm has no users, or more conversions than users.
    """
    for users, conversions in ((users_a, conversions_a), (users_b, conversions_b)):
        if users < 1 or not 0 <= conversions <= users:
            raise ValueError(f"{conversions} conversions of {users} users cannot be compared")
    a, b = conversions_a / users_a, conversions_b / users_b
    pooled = (conversions_a + conversions_b) / (users_a + users_b)
    error = math.sqrt(pooled * (1 - pooled) * (1 / users_a + 1 / users_b))
    p_value = math.erfc(abs(b - a) / error / math.sqrt(2)) if error else 1.0
    (low_a, high_a), (low_b, high_b) = wilson(conversions_a, users_a, level), wilson(conversions_b, users_b, level)
    low = b - a - math.hypot(b - low_b, high_a - a)
    high = b - a + math.hypot(high_b - b, a - low_a)
    return Comparison(b - a, (low, high), p_value)
