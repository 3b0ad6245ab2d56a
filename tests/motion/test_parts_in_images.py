"""Some of a run's particles, asked of their images, answer what they answer among all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryoparts.image_model.deformation import moved_further
from cryoparts.inference.decoded import Decoded
from cryoparts.motion.parts_in_images import OfChosen, PartsInImages
from cryoparts.motion.run_motion import RunMotion, measure_motion
from cryoparts.particles.pose_change import FINAL, PoseChange, PoseSpread, pose_change_path
from cryoparts.rigid.rigid_modes import find_modes
from cryoparts.training.setup import prepare_training
from moving_parts import turn
from training_example import PARTICLES, QUICK, core_and_part, make_example

VARY = ("position",)
AXIS, PIVOT = np.array([0.0, 0.6, 0.8]), np.array([0.0, 5.0, -3.0])


def taken(motion: RunMotion, rows: np.ndarray) -> RunMotion:
    parts = {
        part: replace(
            one,
            motions=one.motions.take(rows),
            signed_angle_degrees=one.signed_angle_degrees[rows],
            present=one.present[rows],
        )
        for part, one in motion.parts.items()
    }
    core = None if motion.core is None else motion.core.take(rows)
    return replace(motion, core=core, parts=parts)


@pytest.mark.parametrize("poses_refined", [False, True])
def test_particles_answer_among_some_as_among_all(tmp_path, poses_refined):
    random = np.random.default_rng(8)
    angles = random.uniform(-20, 20, PARTICLES)

    def displaced(positions, optional):
        moved = np.zeros((PARTICLES, len(positions), 3))
        moved[:, optional] = turn(positions[optional].astype(float), AXIS, PIVOT, angles)
        return moved

    config = replace(QUICK, vary=VARY)
    example = make_example(tmp_path / "run", config, 0.5, displaced)
    if poses_refined:
        change = PoseChange(
            random.normal(scale=0.02, size=(PARTICLES, 3)),
            random.normal(size=(PARTICLES, 2)),
            PoseSpread(0.02, 1.0),
        )
        change.save(pose_change_path(example.run.particles_path, FINAL))
    setup = prepare_training(example.run, config)
    decoded = displaced(setup.model.positions, example.optional).astype(np.float32)
    decoded += random.normal(size=(PARTICLES, 1, 1)).astype(np.float32)  # the core moves, too
    labels = core_and_part(example.optional, setup.model.positions)

    def decode(rows):
        return Decoded(rows.astype(str), None, decoded[rows])

    def offsets_of(rows):
        return moved_further(torch.zeros(len(rows), 40, 3), torch.as_tensor(decoded[rows]), VARY)

    motion = measure_motion(setup.model, labels, decode, PARTICLES)
    modes = {1: find_modes(motion.parts[1].motions, motion.parts[1].present)}
    every = PartsInImages(motion, labels, setup, offsets_of, VARY, relative_to_core=True)
    rows = np.sort(random.choice(PARTICLES, PARTICLES // 3, replace=False))
    few = replace(every, motion=taken(motion, rows), rows=rows)
    its = {1: replace(modes[1], coordinates=modes[1].coordinates[rows])}
    places = np.array([5, 0, 3])

    likelihood, moved, pose = every.along(modes)
    expected = likelihood.posterior_each(moved.start, moved, rows[places], 2, pose)
    likelihood, moved, pose = few.along(its)
    found = likelihood.posterior_each(moved.start, moved, places, 2, pose)
    assert (pose is not None) == poses_refined
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
    # what other particles would answer is another thing
    others = likelihood.posterior_each(moved.start, moved, places + 1, 2, pose)
    assert (others[0] - found[0]).abs().max() > 0.1
    np.testing.assert_array_equal(OfChosen(np.negative, rows)(places), -rows[places])
