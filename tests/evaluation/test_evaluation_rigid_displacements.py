from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryoparts.errors import InputError
from cryoparts.evaluation.rigid_displacements import rigid_displacements
from cryoparts.gaussians.model import GaussianModel
from cryoparts.motion.motion_files import write_motion_summary, write_part_motion
from cryoparts.motion.run_motion import measure_motion, summarise
from cryoparts.parts.part_labels import PartLabels

PARTICLES = 12


class Decoded:
    relative_amplitudes = None

    def __init__(self, displacements):
        self.displacements = displacements


@pytest.fixture
def case(tmp_path):
    """Two of three thirds move rigidly; the files of their motions."""
    rng = np.random.default_rng(0)
    positions = rng.normal(size=(60, 3)) * 20
    part = np.repeat([0, 1, 2], 20)
    moved = np.zeros((PARTICLES, 60, 3))
    for number in (1, 2):
        own = part == number
        half = 0.2 * rng.normal(size=(PARTICLES // 2, 3))
        # to and fro, so that the middle of their way is where they are; about another point
        turns = Rotation.from_rotvec(np.concatenate([half, -half])).as_matrix()
        arms = positions[own] - rng.normal(size=3) * 10
        moved[:, own] = arms @ np.swapaxes(turns, 1, 2) - arms
    labels = PartLabels(
        part, np.zeros((60, 2)), positions, np.zeros(60), np.zeros(60), "pca",
        ("core", "part_1", "part_2"),
    )  # fmt: skip
    model = GaussianModel.of(positions, np.ones(60), np.full(60, 4))
    motion = measure_motion(model, labels, lambda rows: Decoded(moved[rows]), PARTICLES)
    names = np.array([f"{i:06d}@s.mrcs" for i in range(PARTICLES)])
    folder = tmp_path / "motion"
    for number, one in motion.parts.items():
        write_part_motion(folder, number, names, one)
    write_motion_summary(folder, summarise(motion, labels, "core"))
    return folder, labels, model.positions, names, moved


def test_rigid_parts_come_back_from_the_files_in_any_order(case):
    folder, labels, positions, names, moved = case
    order = np.random.default_rng(1).permutation(PARTICLES)
    found = rigid_displacements(folder, labels, positions, names[order])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, moved[order], atol=2e-3)


def test_without_files_there_is_nothing_and_unknown_particles_are_refused(case, tmp_path):
    folder, labels, positions, names, _ = case
    assert rigid_displacements(tmp_path / "other", labels, positions, names) is None
    with pytest.raises(InputError, match="1 of the run's 1 particles are not in it"):
        rigid_displacements(folder, labels, positions, np.array(["000001@other.mrcs"]))
