"""Histograms, errors of single particles, told solvers and parts of maps, on made-up truths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.benchmark.amplitude_histogram import AmplitudeHistogram, amplitude_histogram
from cryoparts.conventions import CtfParameters, Poses
from cryoparts.evaluation.chain_agreement import (
    ChainDensities,
    PartEvidence,
    chain_agreement,
    purity,
)
from cryoparts.evaluation.composition_accuracy import composition_accuracy
from cryoparts.evaluation.maps_oracle import maps_oracle
from cryoparts.evaluation.motion_oracle import motion_oracle
from cryoparts.evaluation.motion_rmsd import motion_rmsd, particle_rmsd, true_displacements
from cryoparts.imaging.ctf import contrast_transfer
from cryoparts.imaging.fourier import inverse_transform
from cryoparts.io.mrc import write_map
from cryoparts.simulation.acquisition import draw_ctf, uniform_rotations
from cryoparts.simulation.atom_projection import AtomGroups
from cryoparts.simulation.ground_truth import MapsTruth, MotionTruth
from cryoparts.simulation.map_projection import FourierMap, project_map
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.rigid_motion import Hinges
from cryoparts.simulation.scene import MoleculeScene

BOX, PIXEL = 32, 4.0


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_a_histogram_counts_every_pair_and_judges_as_the_evaluation_does(seed):
    random = np.random.default_rng(seed)
    amplitudes = random.uniform(-0.2, 2.4, size=(7, 30)).astype(np.float32)
    segment, presence = random.integers(0, 3, 30), random.random((7, 3)) < 0.5
    presence[:, 0], segment[:3] = True, [0, 1, 2]
    counted = amplitude_histogram(amplitudes, segment, presence, segment != 0)
    assert counted.present.sum() + counted.absent.sum() == 7 * (segment != 0).sum()
    expected = composition_accuracy(amplitudes, segment, presence, 0).optional_accuracy
    assert counted.accuracy == pytest.approx(expected)
    assert counted.best[1] >= counted.accuracy - 0.02 - 1e-9  # a bin holds a fiftieth
    again = AmplitudeHistogram.from_dict(counted.as_dict())
    np.testing.assert_array_equal(again.present, counted.present)
    np.testing.assert_allclose(again.edges, counted.edges)


def test_the_best_threshold_parts_what_can_be_parted():
    presence = np.tile([[True, True], [True, False]], (4, 1))
    segment = np.array([0, 1, 1])
    amplitudes = np.where(presence[:, segment], 0.43, 0.21)
    counted = amplitude_histogram(amplitudes, segment, presence, segment == 1)
    threshold, best = counted.best
    assert counted.accuracy == pytest.approx(0.5)
    assert best == 1.0
    assert 0.21 < threshold < 0.43


@pytest.fixture
def moving() -> MotionTruth:
    """Three balls of atoms, two of which turn."""
    random = np.random.default_rng(1)
    centres = np.array([[0, 0, 0], [32, 0, 0], [0, -30, 8]])
    region = np.repeat([0, 1, 2], [120, 60, 60])
    axes = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    return MotionTruth(
        names=np.array([str(i) for i in range(40)]),
        seed=0,
        image_scale=1.0,
        contrast="bright",
        atom_positions=(centres[region] + random.normal(0, 7, (240, 3))).astype(np.float32),
        atom_masses=np.full(240, 6, dtype=np.float32),
        atom_region=region,
        region_names=np.array(["arm", "leg"]),
        axes=axes,
        pivots=np.array([[12.0, 0, 0], [0, -12.0, 4.0]]),
        angles_degrees=random.uniform(-14, 14, (40, 2)),
    )


def test_the_error_of_the_particles_averages_to_that_of_the_run(moving):
    random = np.random.default_rng(0)
    where, region = moving.atom_positions[::4], moving.atom_region[::4]
    hinges = Hinges(moving.axes, moving.pivots)
    said = random.normal(size=(40, len(where), 3))
    expected = motion_rmsd(said, where, region, hinges, moving.angles_degrees)
    arguments = (where, region, hinges, moving.angles_degrees)
    assert particle_rmsd(said, *arguments).mean() == pytest.approx(expected.rmsd_angstrom)
    still = particle_rmsd(None, *arguments)
    assert still.mean() == pytest.approx(expected.no_motion_rmsd_angstrom)
    exact = true_displacements(*arguments)
    np.testing.assert_allclose(particle_rmsd(exact, *arguments), 0, atol=1e-9)


def _acquired(count: int) -> tuple[Poses, CtfParameters]:
    random = np.random.default_rng(5)
    shifts = random.normal(0, 3, (count, 2))
    return Poses(uniform_rotations(count, random), shifts), draw_ctf(
        ImagingOptions(n_particles=count), random
    )


def _motion_images(moving, poses, ctf, box, pixel):
    """Clean images of the 40 particles."""
    atoms = AtomGroups.of(moving.atom_positions, moving.atom_masses, moving.atom_region, 3)
    hinges = Hinges(moving.axes, moving.pivots)
    scene = MoleculeScene(atoms, box, pixel, hinges=hinges, angles_degrees=moving.angles_degrees)
    planes = scene.half_planes(np.arange(40), poses) * contrast_transfer(ctf, box, pixel).numpy()
    return inverse_transform(_tensor(planes)).numpy()


@pytest.mark.parametrize("factor", [1.0, -0.03])
def test_the_told_solver_finds_the_angles_whatever_the_scale_of_the_images(moving, factor):
    poses, ctf = _acquired(40)
    images = _motion_images(moving, poses, ctf, BOX, PIXEL)
    noise = np.random.default_rng(2).normal(0, 0.05 * images.std(), images.shape)
    noisy = (factor * (images + noise)).astype(np.float32)
    rows = np.arange(0, 40, 3)
    found = motion_oracle(lambda r: noisy[r], moving, poses, ctf, BOX, PIXEL, rows)
    assert min(found.correlation.values()) > 0.99
    assert np.abs(found.angles_degrees - moving.angles_degrees[rows]).mean() < 0.5


def test_turns_by_several_periods_of_the_finest_waves_are_found(moving):
    far = replace(moving, angles_degrees=2.5 * moving.angles_degrees)
    poses, ctf = _acquired(40)
    images = _motion_images(far, poses, ctf, 96, 1.25)
    noise = np.random.default_rng(3).normal(0, 0.05 * images.std(), images.shape)
    noisy = (images + noise).astype(np.float32)
    rows = np.arange(0, 40, 3)
    found = motion_oracle(lambda r: noisy[r], far, poses, ctf, 96, 1.25, rows)
    # by all waves at once, from the start, three quarters of them are missed
    assert (np.abs(found.angles_degrees - far.angles_degrees[rows]) > 2.0).mean() < 0.1


def _tensor(planes: np.ndarray):
    import torch

    return torch.from_numpy(np.ascontiguousarray(planes))


def test_the_solver_that_is_told_the_maps_knows_each_particles_map(tmp_path):
    random = np.random.default_rng(3)
    z, y, x = np.indices((24, 24, 24)) - 12
    core = np.exp(-(x**2 + y**2 + z**2) / 20)
    maps = [core + np.exp(-((x - 5) ** 2 + (y - s) ** 2 + z**2) / 8) for s in (-5, 5)]
    paths = [tmp_path / f"{number}.mrc" for number in range(2)]
    for path, density in zip(paths, maps, strict=True):
        write_map(path, density.astype(np.float32), PIXEL)
    index = random.integers(0, 2, 30)
    poses, ctf = _acquired(30)
    both = [
        project_map(FourierMap.of(m, PIXEL), poses.rotation, poses.shift_angstrom, BOX, PIXEL)
        for m in maps
    ]
    planes = (
        np.where((index == 0)[:, None, None], *both) * contrast_transfer(ctf, BOX, PIXEL).numpy()
    )
    images = inverse_transform(_tensor(planes)).numpy()
    images += random.normal(0, images.std(), images.shape).astype(np.float32)
    truth = MapsTruth(
        np.array([str(i) for i in range(30)]), 0, 1.0, "bright", index, np.array(["0", "1"])
    )
    rows = np.arange(30)
    found = maps_oracle(lambda r: images[r], paths, truth, poses, ctf, BOX, PIXEL, rows)
    assert found.accuracy == 1.0
    assert found.information == pytest.approx(1.0)


def _assembly(amplitude: np.ndarray, states: np.ndarray, index: np.ndarray):
    positions = np.concatenate([np.eye(3) * 5, np.eye(3) * 5 + 40])
    labels = np.array([0, 0, 0, 1, 1, 1])
    density = np.array([[1.0] * 6, [1.0, 1, 1, 0, 0, 0], [2.0, 2, 2, 1.8, 2, 2]])
    chains = ChainDensities(
        ("a", "b"), ("body", "cap"), (positions[:3] + 1, positions[3:] - 1),
        np.array([[1.0, 1.0], [1.0, 0.0], [2.0, 1.9]]),
    )  # fmt: skip
    evidence = PartEvidence(labels, positions, {1: amplitude}, {1: states})
    return chain_agreement(evidence, index, density, chains)


def test_a_part_that_follows_its_chain_agrees_with_it():
    index = np.repeat([0, 1, 2], 10)
    there = index != 1
    found = _assembly(there + 0.01 * np.arange(30), np.where(there, 1, 2), index)
    (part,) = found.parts
    assert part.chains == ("b",)
    assert part.presence_auc == 1.0
    assert part.presence_accuracy == 1.0
    assert part.states_rand == 1.0
    assert part.correlation > 0.95
    np.testing.assert_allclose(part.map_density, [1, 0, 5.8 / 6])  # relative to the core
    assert {row.chain: row.part for row in found.chains} == {"a": 0, "b": 1}
    assert found.classes == 2
    assert found.joint_purity == pytest.approx(2 / 3)  # maps 0 and 2 look alike


def test_a_part_that_knows_nothing_agrees_with_nothing():
    random = np.random.default_rng(0)
    index = random.integers(0, 3, 600)
    found = _assembly(random.random(600), random.integers(1, 3, 600), index)
    (part,) = found.parts
    assert part.presence_auc == pytest.approx(0.5, abs=0.1)
    assert abs(part.states_rand) < 0.05
    assert found.joint_information < 0.05


def test_purity_is_one_for_classes_within_kinds_and_the_commonest_share_for_one_class():
    kinds = np.array([0, 0, 1, 1, 1])
    assert purity([1, 2, 3, 3, 4], kinds) == 1.0
    assert purity(np.zeros(5), kinds) == pytest.approx(0.6)
