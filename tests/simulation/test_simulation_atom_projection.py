from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cryoparts.simulation.atom_projection import (
    ATOM_WIDTH_ANGSTROM,
    AtomGroups,
    project_groups,
)

N_ATOMS, N_GROUPS = 150, 4


def plane_waves(points, masses, box, pixel):
    """The sum of plane waves of atoms at `points` (A, 2): the definition."""
    ky, kx = np.fft.fftfreq(box, d=pixel), np.fft.rfftfreq(box, d=pixel)
    along_y = np.exp(-2j * np.pi * np.outer(ky, points[:, 1])) * masses
    along_x = np.exp(-2j * np.pi * np.outer(points[:, 0], kx))
    squared = ky[:, None] ** 2 + kx**2
    return (along_y @ along_x) * np.exp(-2 * np.pi**2 * ATOM_WIDTH_ANGSTROM**2 * squared)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    box=st.sampled_from([16, 32, 50]),
    pixel=st.floats(1.0, 6.0),
)
def test_equals_the_sum_of_plane_waves(seed, box, pixel):
    rng = np.random.default_rng(seed)
    positions = rng.uniform(-0.3, 0.3, (N_ATOMS, 3)) * box * pixel
    masses, group = rng.uniform(1, 16, N_ATOMS), rng.integers(0, N_GROUPS, N_ATOMS)
    turns = Rotation.random(2 * N_GROUPS, random_state=seed).as_matrix().reshape(2, N_GROUPS, 3, 3)
    offsets, weights = rng.normal(0, pixel, (2, N_GROUPS, 2)), rng.uniform(0, 2, (2, N_GROUPS))
    weights[0, 1] = 0.0
    planes = project_groups(
        AtomGroups.of(positions, masses, group, N_GROUPS),
        turns[:, :, :2],
        offsets,
        weights,
        box,
        pixel,
    )
    inside = np.ones((box, box // 2 + 1), dtype=bool)
    inside[box // 2], inside[:, -1] = False, False  # Nyquist stands for both signs
    for image in range(2):
        moved = np.einsum("aij,aj->ai", turns[image, group, :2], positions) + offsets[image, group]
        expected = plane_waves(moved, masses * weights[image, group], box, pixel)
        error = np.linalg.norm((planes[image] - expected)[inside])
        assert error < 1e-3 * np.linalg.norm(expected[inside])


def test_atoms_beyond_the_border_come_back_on_the_other_side():
    atoms = AtomGroups.of([[9.0, -3.0, 0.0]], [1.0], [0], 1)
    view = np.eye(3)[None, None, :2]
    inside = project_groups(atoms, view, np.zeros((1, 1, 2)), np.ones((1, 1)), 16, 1.0)
    around = project_groups(atoms, view, np.array([[[-16.0, 16.0]]]), np.ones((1, 1)), 16, 1.0)
    np.testing.assert_allclose(around, inside, atol=1e-5)
    assert abs(inside[0, 0, 0] - 1.0) < 1e-6


def test_atoms_are_sorted_by_group_and_keep_their_masses():
    atoms = AtomGroups.of(np.arange(15).reshape(5, 3), [1, 2, 3, 4, 5], [2, 0, 2, 0, 0], 4)
    assert atoms.n_groups == 4
    assert atoms.starts.tolist() == [0, 3, 3, 5, 5]
    assert atoms.masses.tolist() == [2, 4, 5, 1, 3]
    assert atoms.positions[:, 0].tolist() == [3, 9, 12, 0, 6]


@pytest.mark.parametrize("group", [[0, 4], [-1, 0]])
def test_unknown_groups_are_refused(group):
    with pytest.raises(ValueError, match=r"0\.\.3"):
        AtomGroups.of(np.zeros((2, 3)), np.ones(2), group, 4)


def test_arguments_that_do_not_fit_are_refused():
    atoms = AtomGroups.of(np.zeros((2, 3)), np.ones(2), [0, 1], 2)
    matrices, offsets = np.zeros((3, 2, 2, 3)), np.zeros((3, 2, 2))
    with pytest.raises(ValueError, match="weights"):
        project_groups(atoms, matrices, offsets, np.ones((3, 1)), 16, 1.0)
    with pytest.raises(ValueError, match="matrices"):
        project_groups(atoms, matrices[:, :1], offsets, np.ones((3, 2)), 16, 1.0)
