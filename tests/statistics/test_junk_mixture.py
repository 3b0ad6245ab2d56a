"""Which particles are what the model describes: a mixture without a threshold."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cryoparts.statistics.junk_mixture import probability_of_fit

GOOD = np.array([0.7, 0.5, 0.25, 0.18, 0.28])
STRANGE = np.array([0.15, 0.07, 0.03, 0.01, 0.01])
OTHER_MOLECULE = np.array([0.4, 0.09, 0.03, 0.0, 0.01])
SPREAD = np.array([0.11, 0.08, 0.06, 0.05, 0.05])


def drawn(mean, count, seed):
    """Agreements in bands that rise and fall together, as strong and weak images do."""
    rng = np.random.default_rng(seed)
    strength = rng.normal(scale=0.12, size=(count, 1))
    return mean * (1 + strength) + 0.6 * SPREAD * rng.normal(size=(count, len(mean)))


@pytest.fixture(scope="module")
def strangers():
    return drawn(STRANGE, 400, 1)


@pytest.fixture(scope="module")
def good():
    return drawn(GOOD, 2000, 2)


def test_set_without_junk_keeps_all_its_particles(good, strangers):
    assert probability_of_fit(good, strangers).min() > 0.99


@pytest.mark.parametrize("share", [0.02, 0.1, 0.2, 0.4])
def test_images_in_wrong_poses_are_found_whatever_their_share(good, strangers, share):
    junk = drawn(STRANGE, round(share * len(good)), 3)
    probability = probability_of_fit(np.concatenate([good, junk]), strangers)
    is_good = np.arange(len(probability)) < len(good)
    assert (probability[is_good] < 0.5).mean() < 0.01
    assert (probability[~is_good] > 0.5).mean() < 0.02


def test_another_molecule_with_the_same_low_frequencies_is_found(good, strangers):
    junk = drawn(OTHER_MOLECULE, 300, 3)
    probability = probability_of_fit(np.concatenate([good, junk]), strangers)
    is_good = np.arange(len(probability)) < len(good)
    assert roc_auc_score(is_good, probability) > 0.97
    assert (probability[is_good] < 0.5).mean() < 0.01


def test_probabilities_are_calibrated_where_good_and_strange_overlap(strangers):
    near = STRANGE + 0.2 * (GOOD - STRANGE)
    features = np.concatenate([drawn(near, 3000, 4), drawn(STRANGE, 1000, 5)])
    is_good = np.arange(len(features)) < 3000
    probability = probability_of_fit(features, strangers)
    for low, high in [(0.1, 0.5), (0.5, 0.9)]:
        inside = (probability > low) & (probability <= high)
        assert inside.sum() > 100
        assert abs(is_good[inside].mean() - probability[inside].mean()) < 0.15


def test_no_particle_is_junk_because_it_agrees_too_well(good, strangers):
    better = np.tile(GOOD + 6 * SPREAD, (20, 1))
    assert probability_of_fit(np.concatenate([good, better]), strangers)[-20:].min() > 0.99


def test_nothing_is_thrown_away_where_nothing_can_be_told(strangers):
    assert (probability_of_fit(drawn(STRANGE, 500, 6), strangers) == 1).all()
    assert (probability_of_fit(drawn(GOOD, 10, 6), strangers) == 1).all()


def test_an_agreement_that_nearly_all_good_particles_share_makes_no_junk_of_the_others(
    good, strangers
):
    """As regions' amounts, which are as they may be in all but the weak images."""
    rng = np.random.default_rng(8)
    junk = drawn(STRANGE, 300, 3)
    doubt = np.where(rng.random(len(good)) < 0.04, rng.uniform(0.1, 0.5, len(good)), 0.0)
    features = np.concatenate(
        [np.column_stack([good, -doubt]), np.column_stack([junk, rng.normal(-1.5, 0.4, 300)])]
    )
    strange = np.column_stack([strangers, rng.normal(-1.5, 0.4, len(strangers))])
    probability = probability_of_fit(features, strange)
    assert (probability[: len(good)] < 0.5).mean() < 0.002
    assert (probability[len(good) :] > 0.5).mean() < 0.01
