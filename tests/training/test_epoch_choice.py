from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cryoparts.training.epoch_choice import AS_GOOD, chosen_epoch


def test_the_last_of_equals_is_kept():
    assert chosen_epoch(np.array([0.4, 0.5001, 0.5, 0.4999]), 0.3) == 3


def test_learned_noise_is_not_kept():
    assert chosen_epoch(np.array([0.4, 0.5, 0.4999, 0.49]), 0.3) == 2


def test_where_nothing_is_gained_the_least_loss_is_kept():
    assert chosen_epoch(np.array([0.2, 0.29, 0.28]), 0.3) == 1


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=12), st.floats(-1, 1))
def test_what_is_kept_is_as_good_as_the_best(scores, neutral):
    values = np.array(scores)
    kept, best = (values - neutral)[chosen_epoch(values, neutral)], (values - neutral).max()
    assert kept >= (AS_GOOD * best if best > 0 else best)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=12), st.floats(-1, 1))
def test_an_epoch_kept_at_the_end_was_kept_when_it_ended(scores, neutral):
    # the checkpoint of the kept epoch is written when it ends, before later ones are known
    values = np.array(scores)
    kept = chosen_epoch(values, neutral)
    assert chosen_epoch(values[: kept + 1], neutral) == kept
