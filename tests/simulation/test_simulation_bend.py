"""A bend: still below a plane, then a smooth field whose turns grow with the height."""

from __future__ import annotations

import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.evaluation.maps.rest_accuracy import zone_of
from cryoparts.evaluation.truth import load_truth
from cryoparts.io.structure import Structure
from cryoparts.pipeline.simulation import simulate
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.rigid_motion import Hinges, move_atoms
from cryoparts.simulation.scene_options import BendOptions


def rod() -> Structure:
    """900 atoms in a rod of 180 Å along (1, 1, 0)."""
    rng = np.random.default_rng(0)
    along = rng.uniform(-90, 90, 900)[:, None] * np.array([1, 1, 0]) / np.sqrt(2)
    points = along + rng.normal(scale=6, size=(900, 3))
    return Structure(
        positions=(points - points.mean(0)).astype(np.float32),
        masses=np.full(900, 6, dtype=np.float32),
        chain_ids=np.full(900, "A"),
        residue_numbers=np.arange(1, 901),
        residue_names=np.full(900, "ALA"),
        atom_names=np.full(900, "CA"),
        elements=np.full(900, "C"),
    )


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    imaging = ImagingOptions(20, 64, 5.0, snr=None)
    folder = tmp_path_factory.mktemp("bend") / "data"
    simulate(rod(), folder, BendOptions(n_slabs=30, rmsd_angstrom=5.0), imaging=imaging)
    return load_truth(folder)


def displaced(truth, row: int) -> np.ndarray:
    hinges = Hinges(truth.axes, truth.pivots)
    angles = truth.angles_degrees[row]
    return move_atoms(truth.atom_positions, truth.atom_region, hinges, angles) - (
        truth.atom_positions
    )


def test_the_displacement_is_that_asked_for(truth):
    every = [np.sqrt((displaced(truth, row) ** 2).sum(1).mean()) for row in range(20)]
    assert np.mean(every) == pytest.approx(5.0, rel=1e-3)
    still = truth.atom_region == 0
    assert still.mean() == pytest.approx(0.4, abs=0.01)
    assert np.abs(displaced(truth, 0)[still]).max() < 1e-5


def test_it_is_smooth_and_no_rigid_motion(truth):
    """Neighbouring slabs differ by little, ends by much, and all turn about one direction."""
    row = int(np.abs(truth.angles_degrees[:, -1]).argmax())
    angles = truth.angles_degrees[row]
    steps = np.diff(np.concatenate([[0.0], angles]))
    assert np.abs(steps).max() < 2.5 * np.abs(angles).max() / len(angles)
    assert (np.sign(steps) == np.sign(angles[-1])).all()
    np.testing.assert_allclose(truth.axes, truth.axes[:1].repeat(len(truth.axes), 0))
    # two atoms that are near each other across a cut move nearly alike
    moved = displaced(truth, row)
    order = np.argsort(truth.atom_positions @ np.array([1, 1, 0]))
    near = np.linalg.norm(np.diff(truth.atom_positions[order], axis=0), axis=1) < 6
    apart = np.linalg.norm(np.diff(moved[order], axis=0), axis=1)[near]
    assert apart.max() < 0.25 * np.linalg.norm(moved, axis=1).max()


def test_slabs_belong_to_thirds(truth):
    zones = [zone_of(str(name)) for name in truth.region_names]
    assert list(dict.fromkeys(zones)) == ["lower", "middle", "upper"]
    assert zone_of("arm") == "arm"


@pytest.mark.parametrize("option", [{"n_slabs": 2}, {"still_fraction": 1.0}, {"rmsd_angstrom": 0}])
def test_limits(option):
    with pytest.raises(InputError):
        BendOptions(**option)
