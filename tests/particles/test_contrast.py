from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cryoparts.config import PreprocessingConfig
from cryoparts.conventions import Poses
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.particles.contrast import contrast_evidence
from cryoparts.particles.particle_set import ParticleSet
from cryoparts.particles.preprocessing import prepare


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_the_sign_is_told_from_noisy_images(
    tmp_path: Path, simulate, sign: int, offset: float
) -> None:
    table = simulate(tmp_path, 60, sign=sign, noise=3.0, offset=offset)
    prepared = prepare(ParticleSet(table), tmp_path / "out", PreprocessingConfig())
    assert prepared.contrast_sign == sign
    assert sign * prepared.details["contrast_z_score"] > 5


def test_noise_alone_is_reported_as_undecided(
    tmp_path: Path, simulate, caplog: pytest.LogCaptureFixture
) -> None:
    table = simulate(tmp_path, 40, noise=1e4)
    prepared = prepare(ParticleSet(table), tmp_path / "out", PreprocessingConfig())
    assert abs(prepared.details["contrast_z_score"]) < 3
    assert "--contrast" in caplog.text


def test_a_shift_that_the_pose_gives_changes_no_evidence(
    tmp_path: Path, simulate, clean_images
) -> None:
    table = simulate(tmp_path, 6, noise=0.0)
    moved = replace(table, poses=Poses(table.poses.rotation, np.full((6, 2), (24.0, -16.0))))
    centred = replace(table, poses=Poses(table.poses.rotation, np.zeros((6, 2))))
    found = [
        contrast_evidence(
            torch.from_numpy(clean_images(t)),
            t.ctf,
            torch.as_tensor(t.poses.shift_angstrom, dtype=torch.float32),
            2.0,
        ).with_blob
        for t in (moved, centred)
    ]
    torch.testing.assert_close(found[0], found[1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("choice", "sign"), [("bright", 1), ("dark", -1)])
def test_the_user_has_the_last_word(tmp_path: Path, simulate, choice: str, sign: int) -> None:
    table = simulate(tmp_path, 20)
    config = PreprocessingConfig(contrast=choice)
    prepared = prepare(ParticleSet(table), tmp_path / "out", config)
    assert prepared.contrast_sign == sign
    assert prepared.details["contrast_source"] == "given"


def test_real_particles_whose_protein_is_bright(reference_data: Path, tmp_path: Path) -> None:
    folder = reference_data / "particles" / "relion30_31_sample"
    table = read_particles(folder / "sample_particles_relion31.star")
    prepared = prepare(ParticleSet(table), tmp_path / "out", PreprocessingConfig())
    assert prepared.details["contrast_z_score"] > 10
