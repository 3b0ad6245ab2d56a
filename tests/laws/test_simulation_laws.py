"""What must hold of every simulated data set, whatever the numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.conventions import Poses
from cryoparts.evaluation.truth import load_truth
from cryoparts.imaging.ctf import contrast_transfer
from cryoparts.imaging.fourier import shift_phases, transform
from cryoparts.imaging.projection import project
from cryoparts.io.mrc import open_stack
from cryoparts.io.structure import Structure
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.simulation.acquisition import uniform_rotations
from cryoparts.simulation.atom_projection import ATOM_WIDTH_ANGSTROM, AtomGroups
from cryoparts.simulation.composition import simulate_composition
from cryoparts.simulation.motion import simulate_motion
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.rigid_motion import Hinges, move_atoms
from cryoparts.simulation.scene import MoleculeScene
from cryoparts.simulation.scene_options import CompositionOptions, MotionOptions

BOX, PIXEL, GROUPS, ATOMS = 32, 4.0, 3, 240


def molecule(seed):
    rng = np.random.default_rng(seed)
    positions = rng.normal(0.0, 12.0, (ATOMS, 3)).clip(-35, 35)
    return positions, rng.uniform(1, 16, ATOMS), rng.integers(0, GROUPS, ATOMS)


def poses(count, seed, sigma=5.0):
    rng = np.random.default_rng(seed)
    return Poses(uniform_rotations(count, rng), rng.normal(0.0, sigma, (count, 2)))


def composition_planes(positions, masses, group, presence, where):
    atoms = AtomGroups.of(positions, masses, group, GROUPS)
    scene = MoleculeScene(atoms, BOX, PIXEL, np.asarray(presence, dtype=bool))
    return scene.half_planes(np.arange(len(presence)), where)


def plane_waves(positions, masses, where):
    """The independent projector: sums of plane waves, shifts as phase ramps."""
    planes = project(
        torch.as_tensor(positions, dtype=torch.float64),
        torch.as_tensor(masses, dtype=torch.float64),
        torch.full((len(masses),), ATOM_WIDTH_ANGSTROM, dtype=torch.float64),
        torch.from_numpy(where.rotation),
        BOX,
        PIXEL,
        method="plane_wave",
    )
    return planes * shift_phases(torch.from_numpy(where.shift_angstrom), BOX, PIXEL)


def same_images(planes, expected, tolerance=2e-3):
    """Whether two sets of half planes are the same below the Nyquist frequency."""
    mine, theirs = np.asarray(planes), np.asarray(expected)
    rows = np.r_[0 : BOX // 2, BOX // 2 + 1 : BOX]
    mine, theirs = mine[:, rows, :-1], theirs[:, rows, :-1]
    return np.linalg.norm(mine - theirs) < tolerance * np.linalg.norm(theirs)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_with_everything_present_it_is_the_whole_molecule(seed):
    positions, masses, group = molecule(seed)
    where = poses(3, seed)
    planes = composition_planes(positions, masses, group, np.ones((3, GROUPS)), where)
    assert same_images(planes, plane_waves(positions, masses, where))


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_image_of_a_union_is_the_sum_of_the_images(seed):
    positions, masses, group = molecule(seed)
    where = Poses(*(np.repeat(a, GROUPS + 1, 0) for a in vars(poses(1, seed)).values()))
    presence = np.concatenate([np.ones((1, GROUPS)), np.eye(GROUPS)])
    planes = composition_planes(positions, masses, group, presence, where)
    np.testing.assert_allclose(planes[0], planes[1:].sum(axis=0), atol=2e-5 * np.abs(planes).max())
    assert np.linalg.norm(planes[1] - planes[2]) > 0.1 * np.linalg.norm(planes[1])


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_shift_is_a_phase_ramp(seed):
    positions, masses, group = molecule(seed)
    where = poses(2, seed, sigma=9.0)
    centred = Poses(where.rotation, np.zeros((2, 2)))
    presence = np.ones((2, GROUPS))
    shifted = composition_planes(positions, masses, group, presence, where)
    ramp = shift_phases(torch.from_numpy(where.shift_angstrom), BOX, PIXEL).numpy()
    assert same_images(
        shifted, composition_planes(positions, masses, group, presence, centred) * ramp
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), angle=st.floats(-90, 90))
def test_a_rigid_motion_keeps_distances_inside_a_region_and_stills_the_rest(seed, angle):
    positions, _, region = molecule(seed)
    rng = np.random.default_rng(seed)
    axes = rng.normal(size=(GROUPS - 1, 3))
    hinges = Hinges(
        axes / np.linalg.norm(axes, axis=1, keepdims=True), rng.normal(0, 9, (GROUPS - 1, 3))
    )
    moved = move_atoms(positions, region, hinges, angle)
    np.testing.assert_array_equal(moved[region == 0], positions[region == 0])
    for number in (1, 2):
        before, after = positions[region == number], moved[region == number]
        np.testing.assert_allclose(
            np.linalg.norm(after[:, None] - after, axis=2),
            np.linalg.norm(before[:, None] - before, axis=2),
            atol=1e-9,
        )
        # Nothing moves along the axis, and the whole turns by the angle about the pivot.
        axis, pivot = hinges.axes[number - 1], hinges.pivots[number - 1]
        np.testing.assert_allclose((after - before) @ axis, 0.0, atol=1e-9)
        arm = np.linalg.norm(np.cross(before - pivot, axis), axis=1)
        step = np.linalg.norm(after - before, axis=1)
        np.testing.assert_allclose(step, 2 * arm * np.sin(np.deg2rad(abs(angle)) / 2), atol=1e-9)


def test_each_moving_particle_is_projected_from_its_own_atoms():
    positions, masses, region = molecule(4)
    hinges = Hinges(np.eye(3)[:2], np.array([[3.0, 1.0, 0.0], [0.0, -5.0, 2.0]]))
    angles = np.array([[20.0, -35.0], [0.0, 50.0]])
    where = poses(2, 8)
    atoms = AtomGroups.of(positions, masses, region, GROUPS)
    scene = MoleculeScene(atoms, BOX, PIXEL, hinges=hinges, angles_degrees=angles)
    planes = scene.half_planes(np.arange(2), where)
    for row in range(2):
        moved = move_atoms(positions, region, hinges, angles[row])
        assert same_images(planes[[row]], plane_waves(moved, masses, where.take([row])))


def structure(seed):
    positions, masses, group = molecule(seed)
    order = np.argsort(group, kind="stable")
    return Structure(
        positions=positions[order].astype(np.float32),
        masses=masses[order].astype(np.float32),
        chain_ids=np.array(list("ABC"))[group[order]],
        residue_numbers=np.arange(1, ATOMS + 1),
        residue_names=np.full(ATOMS, "ALA"),
        atom_names=np.full(ATOMS, "CA"),
        elements=np.full(ATOMS, "C"),
    )


BY_CHAIN = CompositionOptions(n_segments=3, keep_chains=True)


@pytest.mark.parametrize("asked", [1.0, 2.23])
def test_the_mean_displacement_is_the_one_asked_for(tmp_path, asked):
    options = ImagingOptions(n_particles=400, box_size=BOX, pixel_size_angstrom=PIXEL)
    motion = MotionOptions(rmsd_angstrom=asked)
    truth = load_truth(simulate_motion(structure(1), tmp_path / "set", options, motion))
    hinges = Hinges(truth.axes, truth.pivots)
    before = truth.atom_positions.astype(float)
    rmsd = [
        np.sqrt(((move_atoms(before, truth.atom_region, hinges, a) - before) ** 2).sum(1).mean())
        for a in truth.angles_degrees
    ]
    assert np.mean(rmsd) == pytest.approx(asked, rel=1e-2)
    shares = truth.angles_degrees / np.abs(truth.angles_degrees).max()
    assert np.abs(shares).mean() == pytest.approx(0.5, abs=0.04)  # uniform, both ways
    assert abs(shares.mean()) < 0.08


@pytest.mark.parametrize(("snr", "fraction"), [(0.1, 0.0), (0.5, 0.4), (0.1, 1.0)])
def test_noise_has_the_variance_that_the_snr_says(tmp_path, snr, fraction):
    options = ImagingOptions(
        n_particles=200,
        box_size=BOX,
        pixel_size_angstrom=PIXEL,
        snr=snr,
        coloured_noise_fraction=fraction,
    )
    simulate_composition(structure(2), tmp_path / "noisy", options, BY_CHAIN)
    simulate_composition(structure(2), tmp_path / "clean", replace(options, snr=None), BY_CHAIN)
    noisy, clean = (
        open_stack(tmp_path / name / "particles.mrcs").read(np.arange(200))
        for name in ("noisy", "clean")
    )
    assert clean.var(axis=(1, 2)).mean() == pytest.approx(1.0, rel=1e-3)
    noise = noisy - np.sqrt(snr) * clean
    assert noise.var() == pytest.approx(1.0, rel=0.02)
    assert abs(np.mean(noise * clean)) < 0.01
    # White noise has the same power everywhere; the sample's passes the CTF's zero at k = 0 not.
    table = read_particles(tmp_path / "noisy" / "particles.star")
    squared = contrast_transfer(table.ctf, BOX, PIXEL).square()
    power = transform(torch.from_numpy(noise)).abs().square() / BOX**2
    blind = power[squared < 0.02].mean()
    assert float(blind) == pytest.approx(1.0 - fraction, abs=0.05)


def test_poses_and_ctfs_read_back_reproduce_the_clean_images(tmp_path):
    options = ImagingOptions(
        n_particles=9, box_size=BOX, pixel_size_angstrom=PIXEL, snr=None, contrast="dark"
    )
    folder = simulate_composition(structure(3), tmp_path / "set", options, BY_CHAIN)
    truth, table = load_truth(folder), read_particles(folder / "particles.star")
    images = open_stack(folder / "particles.mrcs").read(table.slice_in_stack)
    ctf = contrast_transfer(table.ctf, BOX, PIXEL)
    for row in range(9):
        there = truth.presence[row, truth.atom_segment]
        planes = plane_waves(
            truth.atom_positions[there], truth.atom_masses[there], table.poses.take([row])
        )
        expected = -truth.image_scale * planes * ctf[[row]]
        assert same_images(transform(torch.from_numpy(images[[row]])), expected)


def test_only_the_noise_depends_on_the_noise_options(tmp_path):
    options = ImagingOptions(n_particles=6, box_size=BOX, pixel_size_angstrom=PIXEL)
    for name, snr in (("a", 0.1), ("b", 5.0)):
        simulate_composition(structure(5), tmp_path / name, replace(options, snr=snr), BY_CHAIN)
    first, second = ((tmp_path / name / "particles.star").read_bytes() for name in "ab")
    assert first == second
    np.testing.assert_array_equal(
        load_truth(tmp_path / "a").presence, load_truth(tmp_path / "b").presence
    )
