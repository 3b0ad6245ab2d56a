"""Statistics are of the particles that are probably good."""

import numpy as np

from cryoparts.statistics.trusted import choose_sample, is_trusted, only_trusted, trusted_rows


def test_sample_is_sorted_without_repeats():
    chosen = choose_sample(1000, 100, seed=1)
    assert len(chosen) == 100
    assert (np.diff(chosen) > 0).all()
    assert not np.array_equal(chosen, choose_sample(1000, 100, seed=2))
    np.testing.assert_array_equal(choose_sample(5, 100, seed=0), np.arange(5))


def test_sample_holds_no_doubtful_particle():
    probability = np.where(np.arange(1000) % 5 == 0, 0.3, 0.9)
    chosen = choose_sample(1000, 100, 1, probability)
    assert len(chosen) == 100
    assert (chosen % 5 != 0).all()


def test_sample_of_good_particles_is_the_one_without_probabilities():
    np.testing.assert_array_equal(
        choose_sample(1000, 100, 1, np.full(1000, 0.99)), choose_sample(1000, 100, 1)
    )


def test_rows_keep_their_order():
    probability = np.array([1.0, 0.1, 0.8, 0.2, 0.9])
    np.testing.assert_array_equal(trusted_rows(probability), [0, 2, 4])
    np.testing.assert_array_equal(only_trusted(np.array([4, 1, 0, 3]), probability), [4, 0])


def test_all_count_where_fewer_than_two_would():
    assert is_trusted(np.array([0.1, 0.2, 0.9])).all()
