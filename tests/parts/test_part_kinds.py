from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryoparts.gaussians.model import GaussianModel
from cryoparts.parts.part_kinds import measure_part_changes
from cryoparts.parts.part_labels import PartLabels
from moving_parts import turn

PARTICLES, CORE, PART = 300, 80, 60


@pytest.fixture(scope="module")
def molecule():
    rng = np.random.default_rng(0)
    positions = np.concatenate(
        [rng.normal(size=(CORE, 3)) * 18, rng.normal(size=(PART, 3)) * 12 + [60, 0, 0]]
    )
    labels = np.repeat([0, 1], [CORE, PART])
    count = len(labels)
    model = GaussianModel.of(positions, rng.uniform(0.5, 2, count), np.full(count, 4))
    parts = PartLabels(
        labels, np.zeros((count, 2)), positions, np.zeros(count), np.zeros(count), "pca"
    )
    return model, parts, positions[labels == 1]


def displacements(own, rng, jitter=0.3):
    moved = np.concatenate([np.zeros((PARTICLES, CORE, 3)), own], axis=1)
    return moved + jitter * rng.normal(size=moved.shape)


def motion(points, rng, kind):
    size = rng.uniform(-1, 1, PARTICLES)
    middle = points.mean(axis=0)
    if kind == "rotation":
        return turn(points, np.array([0, 0.6, 0.8]), middle - [20, 0, 0], 10 * size)
    if kind == "translation":
        return np.broadcast_to((5 * size)[:, None, None] * [0.0, 1, 0], (PARTICLES, PART, 3))
    if kind == "breathing":
        return (0.3 * size)[:, None, None] * (points - middle)
    # each half turns the other way about the long axis: no rigid motion does that
    twist = np.cross([1.0, 0, 0], points - middle) * (points - middle)[:, :1] / 12
    return (0.3 * size)[:, None, None] * twist


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ("rotation", "rotation"),
        ("translation", "translation"),
        ("breathing", "deformation"),
        ("twist", "deformation"),
    ],
)
def test_the_kind_of_a_motion(molecule, given, kind):
    model, parts, points = molecule
    rng = np.random.default_rng(1)
    moved = displacements(motion(points, rng, given), rng)
    change = measure_part_changes(model, parts, None, moved)[1]
    assert change.kind == kind
    assert (change.rigid_share > 0.6) == (kind != "deformation")
    assert change.amplitude_deviation == 0
    # the whole molecule may turn besides: that is no motion of the part
    turned = Rotation.from_rotvec(rng.normal(size=(PARTICLES, 3)) * 0.04).as_matrix()
    everything = (model.positions + moved) @ np.swapaxes(turned, 1, 2) - model.positions
    again = measure_part_changes(model, parts, None, everything)[1]
    assert again.kind == kind
    assert again.displacement_angstrom == pytest.approx(change.displacement_angstrom, rel=0.1)


def test_the_amplitude_of_a_rotation(molecule):
    model, parts, points = molecule
    rng = np.random.default_rng(2)
    moved = displacements(motion(points, rng, "rotation"), rng)
    change = measure_part_changes(model, parts, None, moved)[1]
    assert change.angle_deviation_degrees == pytest.approx(10 / np.sqrt(3), rel=0.1)
    assert "turns by" in change.in_words()


def test_what_comes_and_goes_and_what_does_both(molecule):
    model, parts, points = molecule
    rng = np.random.default_rng(3)
    present = rng.random(PARTICLES) < 0.5
    amplitudes = np.ones((PARTICLES, CORE + PART)) + 0.05 * rng.normal(
        size=(PARTICLES, CORE + PART)
    )
    amplitudes[~present, CORE:] -= 0.8
    still = displacements(np.zeros((PARTICLES, PART, 3)), rng)
    assert measure_part_changes(model, parts, amplitudes)[1].kind == "present/absent"
    assert measure_part_changes(model, parts, amplitudes, still)[1].kind == "present/absent"
    moving = displacements(motion(points, rng, "rotation"), rng)
    assert measure_part_changes(model, parts, amplitudes, moving)[1].kind == "mixed"
    # where it is absent its motion means nothing
    wild = still.copy()
    wild[~present, CORE:] += 8 * rng.normal(size=(int((~present).sum()), 1, 3))
    assert measure_part_changes(model, parts, amplitudes, wild)[1].kind == "present/absent"


def test_a_part_that_moves_no_more_than_the_core_changes_slightly(molecule):
    model, parts, _ = molecule
    rng = np.random.default_rng(4)
    jitter = displacements(np.zeros((PARTICLES, PART, 3)), rng, jitter=1.5)
    shaking = 1 + 0.3 * rng.normal(size=(PARTICLES, 1)) * np.ones((1, CORE + PART))
    assert measure_part_changes(model, parts, None, jitter)[1].kind == "slight"
    assert measure_part_changes(model, parts, shaking)[1].kind == "slight"


@pytest.mark.parametrize(("spread", "kind"), [(0.16, "rotation"), (0.5, "mixed")])
def test_a_part_that_moves_comes_and_goes_only_where_it_does_so_clearly(molecule, spread, kind):
    """Blurred by its motion in a consensus map, it is fitted by amplitudes too."""
    model, parts, points = molecule
    rng = np.random.default_rng(4)
    moved = displacements(motion(points, rng, "rotation"), rng)
    amplitudes = np.ones((PARTICLES, CORE + PART))
    amplitudes[:, CORE:] += spread * rng.choice([-1.0, 1.0], size=(PARTICLES, 1))
    assert measure_part_changes(model, parts, amplitudes, moved)[1].kind == kind
    # what stands still and fades by as little does come and go
    still = displacements(np.zeros((PARTICLES, PART, 3)), rng, jitter=0.1)
    assert measure_part_changes(model, parts, amplitudes, still)[1].kind == "present/absent"
