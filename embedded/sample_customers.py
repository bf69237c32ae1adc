"""Synthetic customers: the same rows on every machine, from one fixed seed, as plain columns.

Churn follows from tenure, recency, tickets, spend, contract and age, with interactions and thresholds that a
linear model cannot follow and with noise that nobody can.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Columns = dict[str, NDArray[Any]]
    Floats = NDArray[np.float64]

REGIONS = ("north", "south", "east", "west")
CONTRACTS = ("monthly", "yearly", "two_year")
GENDERS = ("F", "M", "O")


@dataclass(frozen=True)
class Population:
    """What distinguishes one group of customers from another; every number is a parameter of a distribution."""

    seed: int
    rows: int
    first_id: int
    first_day_utc: str
    days: int
    age_mean: float
    contract_shares: tuple[float, float, float]
    tenure_mean_months: float
    spend_factor: float
    tickets_factor: float
    base: float
    young_effect: float
    spend_effect: float
    silence_effect: float


USUAL = Population(
    seed=20250101, rows=50_000, first_id=1, first_day_utc="2025-01-01", days=365, age_mean=46.0,
    contract_shares=(0.50, 0.30, 0.20), tenure_mean_months=30.0, spend_factor=1.0, tickets_factor=1.0,
    base=-4.1, young_effect=0.3, spend_effect=2.2, silence_effect=2.4,
)  # fmt: skip

# Younger, newer, paying more, complaining more - and no longer told apart by silence, but by age and price.
LATEST = Population(
    seed=20260101, rows=20_000, first_id=50_001, first_day_utc="2026-01-01", days=90, age_mean=37.0,
    contract_shares=(0.66, 0.24, 0.10), tenure_mean_months=16.0, spend_factor=1.25, tickets_factor=1.6,
    base=-4.9, young_effect=2.0, spend_effect=2.5, silence_effect=0.0,
)  # fmt: skip


def customers(population: Population) -> Columns:
    """The columns of table `customers`, in its order, `population.rows` values each; NaN marks a null."""
    import numpy as np

    random = np.random.default_rng(population.seed)
    columns = _behaviour(population, random)
    chance = 1.0 / (1.0 + np.exp(-_churn_logit(population, columns)))
    columns["observed_at"] = _observed_at(population, random)
    columns["churned"] = random.random(population.rows) < chance
    # Blanked last: the label knows the true spend, the model has to live with the gap.
    columns["monthly_spend"][random.random(population.rows) < 0.03] = np.nan
    return columns


def _behaviour(population: Population, random: np.random.Generator) -> Columns:
    import numpy as np

    rows = population.rows
    contract = random.choice(CONTRACTS, rows, p=population.contract_shares)
    loyalty = np.select([contract == "two_year", contract == "yearly"], [1.8, 1.25], 0.75)
    products = np.minimum(1 + random.poisson(1.1, rows), 6)
    spend = (14.0 + 13.0 * products) * population.spend_factor * random.lognormal(0.0, 0.32, rows)
    return {
        "customer_id": np.arange(population.first_id, population.first_id + rows),
        "gender": random.choice(GENDERS, rows, p=(0.49, 0.48, 0.03)),
        "age": np.clip(random.normal(population.age_mean, 14.0, rows).round(), 18, 92).astype(int),
        "region": random.choice(REGIONS, rows, p=(0.31, 0.27, 0.23, 0.19)),
        "contract": contract,
        "tenure_months": np.minimum(
            random.exponential(population.tenure_mean_months * loyalty).round(), 180
        ).astype(int),
        "monthly_spend": np.clip(spend, 5.0, 400.0).round(2),
        "support_tickets": np.minimum(random.poisson(
            random.gamma(1.3, 0.9 * population.tickets_factor, rows)), 20),
        "days_since_last_login": np.minimum(random.exponential(21.0, rows).round(), 365).astype(int),
        "products": products,
    }  # fmt: skip


def _churn_logit(population: Population, columns: Columns) -> Floats:
    """Mostly pairs of conditions: each alone says little, together they decide."""
    import numpy as np

    tenure, spend = columns["tenure_months"], columns["monthly_spend"]
    tickets, silence, age = columns["support_tickets"], columns["days_since_last_login"], columns["age"]
    monthly = columns["contract"] == "monthly"
    new, silent, dear = tenure < 12, silence > 30, spend > 30.0 + 12.0 * columns["products"]
    logit = (
        population.base
        + 1.5 * monthly
        + 1.6 * np.exp(-tenure / 15.0)
        + 0.35 * np.minimum(tickets, 5)
        + population.silence_effect * (silent & (tickets == 0))
        + 1.0 * (silent & monthly)
        + 1.9 * ((tickets >= 3) & new)
        + population.spend_effect * (dear & (tenure < 36))
        - 1.2 * (dear & (tenure >= 60))
        + population.young_effect * ((age < 30) & ~silent)
        + 0.9 * ((age > 65) & (columns["products"] >= 3))
        + 0.2 * (columns["region"] == "west")
    )
    return np.asarray(logit, dtype=float)


def _observed_at(population: Population, random: np.random.Generator) -> NDArray[Any]:
    import numpy as np

    seconds = np.sort(random.integers(0, population.days * 86_400, population.rows))
    return np.datetime64(population.first_day_utc, "s") + seconds.astype("timedelta64[s]")
