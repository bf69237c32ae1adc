"""The hold-out belongs to the customer, and what cannot be learned from is refused."""

import numpy as np
import pytest

from churn.customers import UnfitForTraining, check_fit_for_training, holdout_mask


def test_the_holdout_has_the_asked_share_and_adding_customers_moves_nobody() -> None:
    before = holdout_mask(range(20_000), share=0.2, seed=42)
    after = holdout_mask(range(30_000), share=0.2, seed=42)
    assert 0.19 < before.mean() < 0.21
    assert (after[:20_000] == before).all()


def test_an_id_is_the_same_customer_as_number_and_as_text_and_another_seed_is_another_split() -> None:
    ids = range(5_000)
    first = holdout_mask(ids, share=0.2, seed=42)
    assert (holdout_mask(map(str, ids), share=0.2, seed=42) == first).all()
    assert (holdout_mask(ids, share=0.2, seed=43) != first).mean() > 0.2


def test_fewer_than_a_hundred_rows_are_refused_with_their_number() -> None:
    labels = np.arange(99, dtype=np.int8) % 2
    with pytest.raises(UnfitForTraining, match="99 labelled rows"):
        check_fit_for_training(labels, np.arange(99) % 5 == 0)


@pytest.mark.parametrize("empty_side", ["training rows", "hold-out"])
def test_one_class_only_on_either_side_is_refused_and_the_side_is_named(empty_side: str) -> None:
    holdout = np.arange(200) % 2 == 0
    labels = (np.arange(200) % 3 == 0).astype(np.int8)
    labels[holdout if empty_side == "hold-out" else ~holdout] = 0
    with pytest.raises(UnfitForTraining, match=empty_side):
        check_fit_for_training(labels, holdout)
