from __future__ import annotations

import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.evaluation.assignment import assign_gaussians


def grid():
    """Atoms on a line, 1 Å apart, segment 0 left of x = 10 and 1 right of it."""
    x = np.arange(20.0)
    return np.stack([x, 0 * x, 0 * x], axis=1), (x >= 10).astype(int)


def test_each_gaussian_gets_its_nearest_atoms_segment():
    atoms, segment = grid()
    points = np.array([[0.2, 1.0, 0.0], [9.4, 0.0, 0.0], [9.6, 0.0, 0.0], [18.0, -2.0, 0.0]])
    result = assign_gaussians(points, atoms, segment, border_angstrom=1.0)
    assert result.segment.tolist() == [0, 0, 1, 1]
    assert result.border.tolist() == [False, True, True, False]
    everything = assign_gaussians(points, atoms, segment, border_angstrom=100.0)
    assert everything.border.all()


def test_the_border_is_as_wide_as_the_gaussians_are_apart():
    atoms, segment = grid()
    points = np.stack([np.arange(0.0, 20.0, 2.0), np.zeros(10), np.zeros(10)], axis=1)
    result = assign_gaussians(points, atoms, segment)
    assert result.border_angstrom == pytest.approx(2.0)
    assert np.flatnonzero(result.border).tolist() == [4, 5]


def test_one_segment_has_no_border():
    atoms, _ = grid()
    assert not assign_gaussians(atoms[:1], atoms, np.zeros(20)).border.any()


def test_another_frame_is_noticed():
    atoms, segment = grid()
    with pytest.raises(InputError, match=r"lie 100\.0 Å"):
        assign_gaussians(atoms + np.array([0.0, 100.0, 0.0]), atoms, segment)


def test_a_gaussian_stands_for_most_of_its_atoms_and_not_for_the_nearest():
    atoms = np.array([[0.0, 0, 0], [1.0, 0, 0], [2.0, 0, 0], [10.0, 0, 0]])
    found = assign_gaussians([[0.0, 0, 0], [10.0, 0, 0]], atoms, [1, 2, 2, 1])
    assert found.segment.tolist() == [2, 1]
    np.testing.assert_allclose(found.own_share, [2 / 3, 1.0])


def test_a_gaussian_between_two_segments_straddles():
    atoms = np.array([[-1.0, 0, 0], [1.0, 0, 0], [20.0, 0, 0], [21.0, 0, 0], [22.0, 0, 0]])
    found = assign_gaussians([[0.0, 0, 0], [21.0, 0, 0]], atoms, [0, 1, 0, 0, 0])
    assert found.straddling.tolist() == [True, False]


def test_a_gaussian_without_atoms_takes_the_nearest_one():
    found = assign_gaussians([[0.0, 0, 0], [5.0, 0, 0]], np.array([[0.0, 0, 0]]), [3])
    assert found.segment.tolist() == [3, 3]
    assert not found.straddling.any()
