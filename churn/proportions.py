"""How large a share may be, given how often it was seen: exact bounds and tests, from the standard library alone."""

import math
from statistics import NormalDist

BISECTIONS = 50  # halves the interval to 1e-15
NEGLIGIBLE = 1e-17


def lower_bound(count: int, of: int, alpha: float) -> float:
    """Return the one-sided lower bound of a share after `count` of `of` (Clopper and Pearson, 1934).

    It is the share at which seeing `count` or more has the probability `alpha`. The true share is below it in at
    most `alpha` of all cases, for any number of trials: unlike Wilson's or the normal bound, which are too high
    for rare events (Brown, Cai and DasGupta, 2001), and a canary would be rolled back for one unlucky request.
    """
    if not count:
        return 0.0
    low, high = 0.0, count / of
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if probability_of_as_many(count, of, middle) > alpha else (middle, high)
    return low


def upper_bound(count: int, of: int, alpha: float) -> float:
    """Return the one-sided upper bound of a share after `count` of `of`; 1 where nothing was seen."""
    return 1 - lower_bound(of - count, of, alpha) if of else 1.0


def probability_of_as_many(count: int, of: int, share: float) -> float:
    """Return P(X >= count) of X ~ Binomial(of, share), for a `share` of at most count / of.

    There the terms fall from the first on, so that the sum is short also for millions of trials.
    """
    if share <= 0.0 or share >= 1.0:
        return float(count == 0 or share >= 1.0)
    ways = math.lgamma(of + 1) - math.lgamma(count + 1) - math.lgamma(of - count + 1)
    term = math.exp(ways + count * math.log(share) + (of - count) * math.log1p(-share))
    total, seen = 0.0, count
    while seen <= of and term > NEGLIGIBLE * total:
        total += term
        term *= (of - seen) / (seen + 1) * share / (1 - share)
        seen += 1
    return min(total, 1.0)


def wilson(count: int, of: int, level: float) -> tuple[float, float]:
    """Return the two-sided score interval of a share (Wilson, 1927)."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, squared = count / of, z * z / of
    middle = share + squared / 2
    spread = z * math.sqrt(share * (1 - share) / of + squared / (4 * of))
    return max(0.0, (middle - spread) / (1 + squared)), min(1.0, (middle + spread) / (1 + squared))
