from __future__ import annotations

import numpy as np
import pytest

from cryoparts.difference_maps.changed_regions import changes, power_by_part
from cryoparts.difference_maps.difference_map import DifferenceMap
from cryoparts.difference_maps.peaks import find_peaks
from cryoparts.difference_maps.surroundings import (
    Atoms,
    Surroundings,
    points_of_voxels,
    voxels_of_points,
)

BOX, PIXEL, RESOLUTION = 32, 4.0, 10.0
# x, y, z in Å about the box centre
GAINED, LOST, DUST = np.array([[24.0, -12, 8], [-28, 16, 0], [0, 40, -40]])


def bump(centre: np.ndarray, width: float) -> np.ndarray:
    offset = (np.arange(BOX) - BOX // 2) * PIXEL
    z, y, x = np.meshgrid(offset, offset, offset, indexing="ij")
    distance = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2
    return np.exp(-0.5 * distance / width**2)


@pytest.fixture(scope="module")
def difference() -> DifferenceMap:
    z = 20 * bump(GAINED, 8) - 12 * bump(LOST, 6) + 9 * bump(DUST, 1)
    return DifferenceMap(
        density=(0.1 * z).astype(np.float32),
        z_score=z.astype(np.float32),
        noise=0.1,
        critical_z=4.0,
        tested=np.ones(z.shape, dtype=bool),
        resolution_angstrom=RESOLUTION,
        pixel_size_angstrom=PIXEL,
    )


@pytest.fixture(scope="module")
def surroundings() -> Surroundings:
    rng = np.random.default_rng(0)
    places = np.concatenate([c + rng.normal(scale=4, size=(50, 3)) for c in (GAINED, LOST, DUST)])
    return Surroundings(
        positions=places,
        labels=np.repeat([1, 0, -1], 50),
        part_names=("core", "stalk"),
        atoms=Atoms(
            places + 0.5,
            np.repeat(["A", "B", "C"], 50),
            np.tile(np.arange(1, 51), 3),
            np.full(150, "GLY"),
        ),
    )


def test_peaks_are_where_the_map_differs_and_carry_the_names(difference, surroundings):
    peaks = find_peaks(difference, surroundings)
    assert len(peaks) == 2
    first, second = peaks
    np.testing.assert_allclose(first.position, GAINED, atol=PIXEL / 2)
    np.testing.assert_allclose(second.position, LOST, atol=PIXEL / 2)
    assert (first.gained, first.part, first.chain, first.region) == (True, "stalk", "A", 1)
    assert (second.gained, second.part, second.chain, second.region) == (False, "core", "B", 2)
    assert first.z_score == pytest.approx(20, rel=0.02)
    assert second.density == pytest.approx(-1.2, rel=0.05)
    assert first.region_parts == "stalk 100"
    assert first.region_chains == "A 100"
    nearest = np.linalg.norm(surroundings.atoms.positions - first.position, axis=1)
    assert first.residue_number == surroundings.atoms.residue_numbers[nearest.argmin()]
    assert first.atom_distance == pytest.approx(nearest.min())


def test_two_tops_of_one_region_are_two_peaks(surroundings):
    far = GAINED + np.array([28.0, 0, 0])
    z = 20 * bump(GAINED, 8) + 15 * bump(far, 8)
    both = DifferenceMap(
        z.astype(np.float32), z.astype(np.float32), 1.0, 3.0, np.ones(z.shape, dtype=bool),
        RESOLUTION, PIXEL,
    )  # fmt: skip
    peaks = find_peaks(both, surroundings)
    assert [peak.region for peak in peaks] == [1, 1]
    assert peaks[0].z_score > peaks[1].z_score
    np.testing.assert_allclose(peaks[1].position, far, atol=PIXEL)


def test_without_atoms_or_noise(difference, surroundings):
    bare = Surroundings(surroundings.positions, surroundings.labels, ("core", "stalk"))
    peak = find_peaks(difference, bare)[0]
    assert (peak.part, peak.chain, peak.atom_distance) == ("stalk", "", None)
    unknown = DifferenceMap(
        difference.density, None, None, None, difference.tested, RESOLUTION, PIXEL
    )
    assert find_peaks(unknown, surroundings) == []
    assert changes(unknown, surroundings) == []
    with pytest.raises(ValueError, match="not a structure"):
        bare.nearest_atoms([[0, 0, 0]])


def test_share_of_each_part_and_chain_that_changed(difference, surroundings):
    found = {(c.kind, c.name): c for c in changes(difference, surroundings)}
    assert found["part", "stalk"].gained > 0.9
    assert found["part", "stalk"].lost == 0
    assert found["part", "core"].lost > 0.6
    assert found["chain", "A"].gained > 0.9
    assert found["chain", "C"].gained + found["chain", "C"].lost < 0.3
    assert found["chain", "B"].sites == 50


def test_power_lies_with_the_parts_that_changed(difference, surroundings):
    power = power_by_part(difference, surroundings)
    assert sum(power.values()) == pytest.approx(1)
    assert next(iter(power)) == "stalk"
    assert power["unassigned"] < 0.02


def test_voxels_and_points_are_each_other_s_inverse():
    voxels = np.array([[0, 5, 31], [16, 16, 16]])
    points = points_of_voxels(voxels, BOX, PIXEL)
    np.testing.assert_array_equal(points[1], 0)
    assert points[0].tolist() == [15 * PIXEL, -11 * PIXEL, -16 * PIXEL]
    np.testing.assert_array_equal(voxels_of_points(points, BOX, PIXEL), voxels)
