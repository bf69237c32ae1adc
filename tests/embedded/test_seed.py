"""The customers that everything else is shown with: the same everywhere, and worth learning from."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from embedded.sample_customers import LATEST, USUAL, Population, customers
from embedded.seed import COLUMN_TYPES, DESCRIPTION
from tests.embedded.conftest import Clone

NUMERIC, CATEGORICAL = DESCRIPTION["uc1"]["numeric"], DESCRIPTION["uc1"]["categorical"]


@pytest.fixture(scope="module")
def usual() -> pd.DataFrame:
    return pd.DataFrame(customers(USUAL))


@pytest.fixture(scope="module")
def latest() -> pd.DataFrame:
    return pd.DataFrame(customers(LATEST))


def digest(population: Population) -> str:
    text = pd.DataFrame(customers(population)).to_csv(index=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_rows_are_the_same_on_every_machine() -> None:
    assert (digest(USUAL), digest(LATEST)) == ("f9274c51f2ab4011", "2385e449bf67b583")


def test_database_holds_exactly_the_generated_rows(pair: Clone, usual: pd.DataFrame) -> None:
    sums = "count(*), sum(age), round(sum(monthly_spend)::numeric, 2)::text, sum(churned::int), min(observed_at)::text"
    stored = pair.query(f"SELECT {sums} FROM customers")[0]

    assert stored == (
        50_000, usual["age"].sum(), f"{usual['monthly_spend'].sum():.2f}", usual["churned"].sum(),
        f"{usual['observed_at'].min()}+00",
    )  # fmt: skip
    columns = pair.query("SELECT column_name FROM information_schema.columns WHERE table_name = 'customers'")
    assert {name for (name,) in columns} == set(COLUMN_TYPES)


def test_seeding_happens_once_and_a_dropped_table_stays_dropped(pair: Clone) -> None:
    pair.query("DROP TABLE customers_latest")
    pair.embedded("down")
    pair.up("--only", "postgres")

    assert pair.query("SELECT to_regclass('customers_latest')::text") == [(None,)]


def test_churn_share_nulls_and_ids_are_plausible(usual: pd.DataFrame, latest: pd.DataFrame) -> None:
    assert 0.2 < usual["churned"].mean() < 0.3
    assert 0.025 < usual["monthly_spend"].isna().mean() < 0.035
    assert usual.drop(columns="monthly_spend").notna().all(axis=None)
    assert not set(usual["customer_id"]) & set(latest["customer_id"])
    assert latest["observed_at"].min() > usual["observed_at"].max()


def auc(model: object, train: pd.DataFrame, test: pd.DataFrame) -> float:
    with threadpool_limits(1):  # many threads on a busy machine wait for each other
        fitted = model.fit(train[NUMERIC + CATEGORICAL], train["churned"])  # type: ignore[attr-defined]
        chances = fitted.predict_proba(test[NUMERIC + CATEGORICAL])[:, 1]
    return float(roc_auc_score(test["churned"], chances))


def logistic() -> object:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = make_column_transformer((numbers, NUMERIC), (OneHotEncoder(), CATEGORICAL))
    return make_pipeline(columns, LogisticRegression(max_iter=1000))


def boosted() -> object:
    columns = make_column_transformer(("passthrough", NUMERIC), (OrdinalEncoder(), CATEGORICAL))
    return make_pipeline(columns, HistGradientBoostingClassifier(random_state=0, learning_rate=0.06, max_iter=150))


def halves(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    held_out = np.random.default_rng(0).random(len(frame)) < 0.2
    return frame[~held_out], frame[held_out]


def test_boosted_trees_beat_the_logistic_baseline_and_neither_is_perfect(usual: pd.DataFrame) -> None:
    train, test = halves(usual)
    baseline, challenger = auc(logistic(), train, test), auc(boosted(), train, test)

    assert 0.80 <= baseline < challenger <= 0.88
    assert challenger - baseline > 0.04


def test_later_customers_have_moved_and_retraining_helps(usual: pd.DataFrame, latest: pd.DataFrame) -> None:
    train, test = halves(latest)
    before, after = auc(boosted(), usual, test), auc(boosted(), pd.concat([usual, train]), test)

    assert latest["age"].mean() < usual["age"].mean() - 5
    assert latest["tenure_months"].mean() < usual["tenure_months"].mean() / 1.5
    assert after - before > 0.02
