"""Atoms to Gaussians: mass, centre of mass and second moment are kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.errors import InputError
from cryoparts.gaussians.from_structure import gaussians_from_atoms, gaussians_from_structure
from cryoparts.gaussians.resolution import count_for_resolution, width_for_resolution


@dataclass(frozen=True)
class _Atoms:
    positions: np.ndarray
    masses: np.ndarray


def _atoms(count: int, seed: int = 0) -> _Atoms:
    generator = np.random.default_rng(seed)
    positions = generator.normal(scale=20.0, size=(count, 3)).astype(np.float32)
    return _Atoms(positions, generator.integers(6, 17, size=count).astype(np.float32))


@settings(deadline=None, max_examples=30)
@given(atoms=st.integers(1, 400), wanted=st.integers(1, 500), seed=st.integers(0, 100))
def test_mass_and_centre_of_mass_are_kept(atoms: int, wanted: int, seed: int) -> None:
    source = _atoms(atoms, seed)
    model = gaussians_from_atoms(source.positions, source.masses, wanted, 10.0, seed=seed)
    assert len(model) == min(atoms, wanted)
    assert model.amplitudes.min() > 0
    assert model.amplitudes.sum() == pytest.approx(source.masses.sum(), rel=1e-5)
    np.testing.assert_allclose(
        np.average(model.positions, axis=0, weights=model.amplitudes),
        np.average(source.positions, axis=0, weights=source.masses),
        atol=1e-3,
    )


def test_second_moment_is_that_of_the_atoms_at_the_resolution() -> None:
    source = _atoms(3000)
    model = gaussians_from_atoms(source.positions, source.masses, 200, 12.0)

    def spread(positions: np.ndarray, weights: np.ndarray) -> float:
        centre = np.average(positions, axis=0, weights=weights)
        return float(np.average(np.square(positions - centre).mean(axis=1), weights=weights))

    within = float(np.average(np.square(model.widths), weights=model.amplitudes))
    expected = spread(source.positions, source.masses) + width_for_resolution(12.0) ** 2
    assert spread(model.positions, model.amplitudes) + within == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("shift", [(64.0, -32.0, 8.0), (0.5, 0.25, 1024.0)])
def test_moving_the_atoms_moves_the_gaussians(shift: tuple[float, float, float]) -> None:
    source = _atoms(900)
    here = gaussians_from_atoms(source.positions.astype(float), source.masses, 50, 10.0)
    there = gaussians_from_atoms(source.positions.astype(float) + shift, source.masses, 50, 10.0)
    nearest = np.linalg.norm(here.positions[:, None] + shift - there.positions[None], axis=2)
    np.testing.assert_allclose(nearest.min(axis=1), 0.0, atol=1e-3)
    np.testing.assert_allclose(np.sort(here.amplitudes), np.sort(there.amplitudes), rtol=1e-5)


def test_one_gaussian_an_atom_in_the_order_of_the_atoms() -> None:
    source = _atoms(25)
    model = gaussians_from_atoms(source.positions, source.masses, 25, 8.0)
    np.testing.assert_allclose(model.positions, source.positions, atol=1e-4)
    np.testing.assert_allclose(model.amplitudes, source.masses, rtol=1e-6)
    np.testing.assert_allclose(model.widths, width_for_resolution(8.0), rtol=1e-6)


def test_atoms_in_one_place_share_a_gaussian() -> None:
    positions = np.repeat(np.array([[0.0, 0, 0], [9, 0, 0]]), 5, axis=0)
    model = gaussians_from_atoms(positions, np.ones(10), 4, 8.0)
    np.testing.assert_allclose(model.positions, [[0, 0, 0], [9, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(model.amplitudes, [5, 5])


def test_number_follows_volume_over_resolution_cubed_between_its_limits() -> None:
    assert count_for_resolution(1e6, 10.0) == 4000
    assert count_for_resolution(1e6, 20.0) == 500
    assert count_for_resolution(1e6, 3.0) == 8192
    assert count_for_resolution(1e3, 20.0) == 64
    source = _atoms(5000)
    coarse = gaussians_from_atoms(source.positions, source.masses, None, 10.0)
    assert len(coarse) == 340  # 4 * 17 Å³ * 5000 / 10³


def test_structure_is_placed_from_either_origin() -> None:
    source = _atoms(200)
    corner = _Atoms(source.positions + np.float32(160.0), source.masses)
    about_centre = gaussians_from_structure(source, 40, 10.0, 80, 4.0)
    from_corner = gaussians_from_structure(corner, 40, 10.0, 80, 4.0)
    np.testing.assert_allclose(about_centre.positions, from_corner.positions, atol=1e-3)


def test_faults_name_the_file_the_atom_and_the_option() -> None:
    good = _atoms(10)
    with pytest.raises(InputError, match="no atoms"):
        gaussians_from_structure(_Atoms(np.zeros((0, 3)), np.zeros(0)), 4, 10.0, 64, 4.0)
    broken = good.positions.copy()
    broken[6, 1] = np.nan
    with pytest.raises(InputError, match=r"m\.pdb, atom 7"):
        gaussians_from_structure(_Atoms(broken, good.masses), 4, 10.0, 64, 4.0, where="m.pdb")
    massless = good.masses.copy()
    massless[2] = 0.0
    with pytest.raises(InputError, match="atom 3"):
        gaussians_from_structure(_Atoms(good.positions, massless), 4, 10.0, 64, 4.0)
    with pytest.raises(InputError, match="--n-gaussians"):
        gaussians_from_structure(good, 0, 10.0, 64, 4.0)
    with pytest.raises(InputError, match="resolution"):
        gaussians_from_structure(good, 4, -1.0, 64, 4.0)
