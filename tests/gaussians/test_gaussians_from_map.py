"""Maps to Gaussians: what was rendered is found again; bad maps are refused."""

from __future__ import annotations

import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.gaussians.density import render
from cryoparts.gaussians.from_map import MapModelFsc, gaussians_from_map
from cryoparts.gaussians.map_grid import low_pass, resample
from cryoparts.gaussians.model import GaussianModel
from cryoparts.gaussians.resolution import (
    VOLUME_PER_ATOM,
    count_for_resolution,
    width_for_resolution,
)
from cryoparts.gaussians.solvent import find_molecule, find_threshold, is_hidden_by_noise


def _blobs() -> GaussianModel:
    positions = [[-18.0, 6.0, 0.0], [14.0, -9.0, 12.0], [3.0, 20.0, -15.0]]
    return GaussianModel.of(positions, [900.0, 1500.0, 2100.0], [4.0, 5.0, 6.0])


def _molecule(seed: int = 0) -> GaussianModel:
    generator = np.random.default_rng(seed)
    walk = np.cumsum(generator.normal(scale=3.0, size=(400, 3)), axis=0)
    walk = 22.0 * (walk - walk.mean(axis=0)) / np.abs(walk - walk.mean(axis=0)).max()
    return GaussianModel.of(walk, generator.uniform(6, 9, 400), np.full(400, 2.5))


@pytest.mark.parametrize("box", [32, 33])
def test_well_separated_blobs_are_found_again(box: int) -> None:
    truth = _blobs()
    found, fsc = gaussians_from_map(render(truth, box, 3.0), 3.0, 3, 7.0)
    order = np.argsort(found.amplitudes)
    # The map is blurred by the resolution's width, which adds to the blobs' own.
    widths = np.sqrt(truth.widths**2 + (0.2251 * 7.0) ** 2)
    np.testing.assert_allclose(found.positions[order], truth.positions, atol=0.15)
    # The tails below the solvent threshold are cut off.
    np.testing.assert_allclose(found.amplitudes[order], truth.amplitudes, rtol=0.1)
    np.testing.assert_allclose(found.widths[order], widths, rtol=0.04)
    assert fsc.resolution_at(0.5) < 7.5


def test_refinement_improves_on_the_grouped_voxels() -> None:
    density = render(_molecule(), 32, 2.0)
    start = gaussians_from_map(density, 2.0, 80, 6.0, iterations=0)[1]
    fitted = gaussians_from_map(density, 2.0, 80, 6.0)[1]
    shells = fitted.frequency < 1.0 / 6.0
    assert fitted.correlation[shells].mean() > start.correlation[shells].mean() + 0.005
    assert fitted.correlation[shells].min() > 0.9


def test_number_is_chosen_from_volume_and_resolution_and_can_exceed_the_voxels() -> None:
    density = render(_molecule(), 36, 2.0)
    fine, coarse = (len(gaussians_from_map(density, 2.0, None, r)[0]) for r in (4.0, 9.0))
    assert fine > coarse >= 64
    few = gaussians_from_map(density, 2.0, 30, 9.0, iterations=0)[0]
    many = gaussians_from_map(density, 2.0, 3000, 9.0, iterations=0)[0]
    assert len(many) == 3000
    assert many.amplitudes.sum() == pytest.approx(float(few.amplitudes.sum()), rel=0.1)


def test_noise_and_a_solvent_level_change_the_model_little() -> None:
    clean = render(_molecule(), 32, 2.0)
    noise = np.random.default_rng(4).normal(scale=0.1 * clean.max(), size=clean.shape)
    noisy = (clean + noise + 3.0 * clean.max()).astype(np.float32)
    truth = gaussians_from_map(clean, 2.0, 60, 8.0)[0]
    found, fsc = gaussians_from_map(noisy, 2.0, 60, 8.0)
    assert fsc.threshold > 3.0 * clean.max()
    assert found.amplitudes.sum() == pytest.approx(float(truth.amplitudes.sum()), rel=0.12)
    distance = np.linalg.norm(found.positions[:, None] - truth.positions[None], axis=2)
    assert np.median(distance.min(axis=1)) < 3.0


def test_noise_that_hides_the_molecule_takes_none_of_it_away() -> None:
    clean = render(_molecule(), 48, 1.5)
    noise = np.random.default_rng(4).normal(scale=0.3 * clean.max(), size=clean.shape)
    filtered = low_pass(clean + noise, 1.5, width_for_resolution(4.5))
    assert is_hidden_by_noise(filtered)
    assert not is_hidden_by_noise(low_pass(clean, 1.5, width_for_resolution(4.5)))
    truth = gaussians_from_map(clean, 1.5, 100, 4.5, iterations=0)[0]
    found = gaussians_from_map(clean + noise, 1.5, 100, 4.5, iterations=0)[0]
    assert found.amplitudes.sum() == pytest.approx(float(truth.amplitudes.sum()), rel=0.15)


def test_a_map_gets_as_many_gaussians_as_its_atoms_and_half_occupied_parts_hardly_fewer() -> None:
    generator = np.random.default_rng(3)
    atoms = generator.uniform(-22, 22, (40000, 3))
    atoms = atoms[np.linalg.norm(atoms, axis=1) < 22]
    atoms = atoms[: round(4.0 / 3.0 * np.pi * 22.0**3 / VOLUME_PER_ATOM)]
    volume = VOLUME_PER_ATOM * len(atoms)
    wanted = count_for_resolution(volume, 6.0)
    whole = GaussianModel.of(atoms, np.full(len(atoms), 7.0), np.full(len(atoms), 1.2))
    share = np.where(atoms[:, 0] > 8.0, 0.5, 1.0)
    partly = GaussianModel.of(atoms, 7.0 * share, whole.widths)
    counts = [
        len(gaussians_from_map(render(m, 40, 2.0), 2.0, None, 6.0, iterations=0)[0])
        for m in (whole, partly)
    ]
    assert counts[0] == pytest.approx(wanted, rel=0.25)
    assert counts[1] == pytest.approx(counts[0], rel=0.12)


@pytest.mark.parametrize("size", [40, 49, 60])
def test_scale_offset_and_voxels_of_a_map_change_no_gaussian(size: int) -> None:
    density = render(_molecule(), 48, 1.5)
    here = gaussians_from_map(density, 1.5, 60, 6.0)[0]
    other = 1e-4 * resample(density, size) + 3.0
    there = gaussians_from_map(other, 1.5 * 48 / size, 60, 6.0)[0]
    # Which voxels a Gaussian starts with hangs on rounding: what they make together does not.
    seen = [render(model, 48, 1.5) for model in (here, there)]
    seen = [density / density.sum() for density in seen]
    error = np.square(seen[1] - seen[0]).sum() / np.square(seen[0]).sum()
    assert error < 0.03**2
    assert there.amplitudes.sum() == pytest.approx(1e-4 * float(here.amplitudes.sum()), rel=0.03)
    assert np.median(there.widths) == pytest.approx(np.median(here.widths), rel=0.03)


def test_same_seed_same_model_and_the_map_is_untouched() -> None:
    density = render(_molecule(), 24, 3.0)
    kept = density.copy()
    first, second = (gaussians_from_map(density, 3.0, 30, 8.0, seed=5)[0] for _ in range(2))
    np.testing.assert_array_equal(first.positions, second.positions)
    np.testing.assert_array_equal(density, kept)


def test_positions_follow_a_shift_of_the_map() -> None:
    density = render(_molecule(), 32, 2.5)
    moved = np.roll(density, (1, 0, -2), axis=(0, 1, 2))
    here = gaussians_from_map(density, 2.5, 40, 7.5)[0]
    there = gaussians_from_map(moved, 2.5, 40, 7.5)[0]
    centroid = [np.average(m.positions, axis=0, weights=m.amplitudes) for m in (here, there)]
    np.testing.assert_allclose(centroid[1] - centroid[0], [-5.0, 0.0, 2.5], atol=0.05)


def test_threshold_lies_between_solvent_and_molecule_and_can_be_given() -> None:
    density = np.random.default_rng(0).normal(scale=0.02, size=(24, 24, 24))
    density[8:16, 8:16, 8:16] += 1.0
    density[2, 2, 2] = 1.0
    threshold, background = find_threshold(density)
    assert abs(background) < 0.01
    assert 0.08 < threshold < 0.6
    found = find_molecule(density, threshold=None, smallest_voxels=5, where="map")
    assert found.molecule.sum() == 8**3  # and the lone voxel is dust
    with pytest.raises(InputError, match="no density stands out"):
        find_molecule(density, threshold=2.0, smallest_voxels=5, where="map")


def test_fsc_resolution_is_interpolated() -> None:
    frequency = np.arange(5) / 100.0
    fsc = MapModelFsc(frequency, np.array([1.0, 1.0, 0.7, 0.3, 0.1]), 0.0)
    assert fsc.resolution_at(0.5) == pytest.approx(1.0 / 0.025)
    assert fsc.resolution_at(0.05) == pytest.approx(25.0)
    assert MapModelFsc(frequency, np.full(5, 0.2), 0.0).resolution_at(0.5) == float("inf")


def _nan_map() -> np.ndarray:
    density = render(_blobs(), 16, 5.0)
    density[3, 4, 5] = np.nan
    return density


@pytest.mark.parametrize(
    ("density", "voxel", "options", "message"),
    [
        (np.zeros((16, 16, 16)), 3.0, {}, "same value, 0"),
        (np.ones((16, 16, 15)), 3.0, {}, "16 x 16 x 15"),
        (np.ones((16, 16)), 3.0, {}, "16 x 16 voxels"),
        (_nan_map(), 3.0, {}, "1 of 4096 are NaN"),
        (render(_blobs(), 16, 5.0), 0.0, {}, "voxel size"),
        (render(_blobs(), 16, 5.0), float("nan"), {}, "voxel size"),
        (-render(_blobs(), 32, 3.0), 3.0, {}, "inverted"),
        (render(_blobs(), 32, 3.0), 3.0, {"threshold": 1e9}, "no density stands out"),
        (render(_blobs(), 32, 3.0), 3.0, {"n_gaussians": -2}, "at least 1, got -2"),
        (render(_blobs(), 32, 3.0), 3.0, {"resolution_angstrom": 0.0}, "resolution"),
    ],
)
def test_bad_maps_are_refused(
    density: np.ndarray, voxel: float, options: dict[str, float], message: str
) -> None:
    arguments = {"n_gaussians": 3, "resolution_angstrom": 9.0, **options}
    with pytest.raises(InputError, match=message):
        gaussians_from_map(density, voxel, where="bad.mrc", **arguments)
