"""What is left of errors of the poses moves everything alike and defines no part."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryoparts.parts.changes import measure_changes
from cryoparts.parts.part_models import PartModel
from cryoparts.parts.part_refinement import _least_changing

PARTICLES = 200


@pytest.fixture(scope="module")
def molecule():
    """Positions (N, 3), a quarter of which moves, and displacements (S, N, 3) of it."""
    random = np.random.default_rng(0)
    positions = random.uniform(-40, 40, size=(120, 3))
    moving = positions[:, 0] > 20
    along = random.normal(size=PARTICLES)
    displacements = np.zeros((PARTICLES, 120, 3))
    displacements[:, moving, 1] = 4.0 * along[:, None]
    return positions, moving, displacements + 0.05 * random.normal(size=displacements.shape)


def test_turns_and_shifts_of_the_whole_particle_change_nothing(molecule):
    positions, _, displacements = molecule
    random = np.random.default_rng(1)
    turned = Rotation.from_rotvec(np.deg2rad(1.0) * random.normal(size=(PARTICLES, 3))).as_matrix()
    common = np.einsum("sij,nj->sni", turned, positions) - positions
    common += random.normal(size=(PARTICLES, 1, 3))
    still = measure_changes(positions, displacements=displacements)
    posed = measure_changes(positions, displacements=displacements + common)
    assert posed.n_modes == still.n_modes == 1
    np.testing.assert_allclose(
        posed.displacement_rms_angstrom, still.displacement_rms_angstrom, atol=0.15
    )


def test_the_stillest_body_is_still_and_the_other_moves(molecule):
    positions, moving, displacements = molecule
    rms = measure_changes(positions, displacements=displacements).displacement_rms_angstrom
    assert rms[~moving].max() < 0.3
    assert rms[moving].mean() == pytest.approx(4.0, rel=0.15)


def test_a_displacement_is_measured_where_the_gaussian_is_seen(molecule):
    positions, moving, displacements = molecule
    there = np.ones((PARTICLES, len(positions)))
    there[::4, moving] = 0.0
    alone = measure_changes(positions, there, displacements)
    astray = displacements.copy()
    astray[::4, moving] += np.array([5.0, -3.0, 2.0])
    somewhere = measure_changes(positions, there, astray)
    rms = somewhere.displacement_rms_angstrom
    assert rms[moving].mean() == pytest.approx(4.0, rel=0.15)
    np.testing.assert_allclose(rms, alone.displacement_rms_angstrom, atol=0.05)


def test_widths_take_the_place_of_amplitudes_and_hide_nothing(molecule):
    positions, moving, displacements = molecule
    narrow = np.ones((PARTICLES, len(positions)))
    narrow[::2, moving] = 0.2
    found = measure_changes(positions, displacements=displacements, relative_widths=narrow)
    alone = measure_changes(positions, displacements=displacements)
    assert found.has_amplitude
    assert found.amplitude_change[moving].min() == pytest.approx(0.4)
    np.testing.assert_allclose(found.displacement_rms_angstrom, alone.displacement_rms_angstrom)
    # amplitudes, where there are any, are what is looked at
    both = measure_changes(positions, 0.5 + 0.5 * narrow, relative_widths=narrow)
    assert both.amplitude_change[moving].min() == pytest.approx(0.2)


def test_one_particle_gone_astray_changes_no_pattern(molecule):
    positions, moving, displacements = molecule
    amplitudes = 1.0 - 0.8 * np.outer(np.arange(PARTICLES) % 2, ~moving)
    amplitudes += 0.05 * np.random.default_rng(3).normal(size=amplitudes.shape)
    usual = measure_changes(positions, amplitudes, displacements)
    amplitudes[7], displacements = 80.0 * np.linspace(-1, 1, len(positions)), displacements.copy()
    displacements[7] += 300 * np.random.default_rng(4).normal(size=positions.shape)
    astray = measure_changes(positions, amplitudes, displacements)
    assert astray.n_modes == usual.n_modes == 2
    np.testing.assert_allclose(astray.amplitude_change, usual.amplitude_change, atol=0.15)


def test_three_gaussians_on_a_line_are_measured():
    positions = np.array([[0.0, 0, 0], [10, 0, 0], [20, 0, 0]])
    moves = np.random.default_rng(2).normal(size=(30, 3, 3))
    assert np.isfinite(measure_changes(positions, displacements=moves).modes).all()


def test_the_core_is_the_bulk_that_is_still_not_the_stillest_crumb():
    def model(count: int, change: float) -> PartModel:
        made = object.__new__(PartModel)
        object.__setattr__(made, "count", count)
        object.__setattr__(made, "square", count * change**2)
        return made

    crumb, bulk, part = model(28, 0.433), model(598, 0.457), model(538, 0.752)
    assert _least_changing([crumb, bulk, part]) == 1
    assert _least_changing([model(28, 0.1), bulk, part]) == 0
