"""Poses are refined between epochs where they are wrong; a resumed run finds the same."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryoparts.image_model.deformation import displacement, relative_amplitude
from cryoparts.inference.decode import TrainedDecoder
from cryoparts.inference.latents import write_latents
from cryoparts.io.run_directory import RunDirectory
from cryoparts.particles.pose_change import FINAL, PoseChange, pose_change_path, pose_changes
from cryoparts.particles.prepared import PARTICLES, PreparedParticles
from cryoparts.training.checkpoint import load_checkpoint
from cryoparts.training.core_held_decoder import CoreHeldDecoder
from cryoparts.training.encoder_input import EncoderInput, values_path
from cryoparts.training.setup import prepare_training
from cryoparts.training.trainer import Trainer, best_epoch
from training_example import QUICK, Silent, make_example

CONFIG = replace(QUICK, epochs=4, learning_rate=3e-3, min_resolution_angstrom=150.0)
CPU = torch.device("cpu")


def make(folder, degrees: float, angstrom: float, config=CONFIG):
    """A run whose particle file gives poses that are off, and the true ones."""
    example = make_example(folder, config, noise=0.2)
    path = example.run.particles_path / PARTICLES
    with np.load(path) as stored:
        columns = dict(stored)
    random = np.random.default_rng(5)
    true = columns["rotation"].copy(), columns["shift_angstrom"].copy()
    turn = np.deg2rad(degrees) * random.normal(size=(len(true[0]), 3))
    columns["rotation"] = Rotation.from_rotvec(turn).as_matrix() @ columns["rotation"]
    columns["shift_angstrom"] = true[1] + angstrom * random.normal(size=true[1].shape)
    np.savez(path, **columns)
    return example, true


def train(run: RunDirectory, config=CONFIG, resume=False) -> list[dict[str, float]]:
    trainer = Trainer(run, prepare_training(run, config), config)
    rows = trainer.train(Silent(), resume=resume)
    write_latents(run, trainer.setup)
    return rows


def angles(rotation, true) -> np.ndarray:
    away = Rotation.from_matrix(rotation) * Rotation.from_matrix(true).inv()
    return np.rad2deg(away.magnitude())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    example, true = make(tmp_path_factory.mktemp("rounds") / "run", degrees=4.0, angstrom=3.0)
    return example.run, true, train(example.run)


def test_wrong_poses_are_refined_and_the_run_opens_with_the_refined_ones(trained):
    run, (rotation, shift), rows = trained
    particles = PreparedParticles.open(run.particles_path)
    given = particles.with_given_poses().poses
    before, after = angles(given.rotation, rotation), angles(particles.poses.rotation, rotation)
    assert np.median(after) < 0.7 * np.median(before)
    left = particles.poses.shift_angstrom - shift
    assert left.std() < 0.6 * (given.shift_angstrom - shift).std()
    assert rows[1]["poses_found_after"] == 0
    assert rows[4]["poses_found_after"] > 0
    assert pose_changes(run.particles_path)[-1] == pose_change_path(run.particles_path, FINAL)


def test_only_networks_that_know_the_last_poses_are_kept(trained):
    _, _, rows = trained
    kept = best_epoch(rows)
    assert rows[kept]["poses_found_after"] == rows[-1]["poses_found_after"]
    better_before = [dict(row) for row in rows]
    better_before[1]["held_out_frc"] = 0.99
    assert best_epoch(better_before) == kept


def test_a_run_that_was_broken_off_comes_to_the_same_poses_and_latent_vectors(trained, tmp_path):
    run, *_ = trained
    folder = tmp_path / "again"
    shutil.copytree(run.root, folder)
    again = RunDirectory(folder)
    # as it was after epoch 3, before its round; the round after epoch 2 was done
    last = load_checkpoint(again.checkpoints_path, "epoch_0003")
    for name in ("epoch_0004.json", "epoch_0004.safetensors"):
        (again.checkpoints_path / name).unlink()
    assert last.epoch == 3
    for path in pose_changes(again.particles_path)[-1:]:
        path.unlink()
    again.latent_path.unlink()
    train(again, resume=True)
    for name in ("latent.npy", "probability.npy"):
        assert np.array_equal(np.load(folder / name), np.load(run.root / name)), name
    final = [PoseChange.load(pose_change_path(f.particles_path, FINAL)) for f in (again, run)]
    assert np.array_equal(final[0].turn, final[1].turn)


def test_inputs_that_a_round_did_not_come_to_write_are_made_up_for(trained, tmp_path):
    run, *_ = trained
    folder = tmp_path / "killed"
    shutil.copytree(run.root, folder)
    killed = RunDirectory(folder)
    stored = EncoderInput.open(run.particles_path, CPU).rows(np.arange(9), CPU)
    values_path(killed.particles_path).unlink()
    made = prepare_training(killed, CONFIG).encoder_input.rows(np.arange(9), CPU)
    # `run` was opened with the poses found last, these are of the round before
    pose_change_path(killed.particles_path, FINAL).unlink()
    values_path(killed.particles_path).unlink()
    made = prepare_training(killed, CONFIG).encoder_input.rows(np.arange(9), CPU)
    torch.testing.assert_close(made, stored, atol=1e-5, rtol=1e-4)


def test_right_poses_stay_as_they_are_given(tmp_path):
    example, _ = make(tmp_path / "run", degrees=0.0, angstrom=0.0)
    rows = train(example.run)
    assert pose_changes(example.run.particles_path) == []
    assert {row.get("poses_found_after", 0) for row in rows} == {0}


def test_poses_stay_as_they_are_given_where_that_is_asked_for(tmp_path):
    config = replace(CONFIG, refine_poses=False)
    example, _ = make(tmp_path / "run", degrees=4.0, angstrom=3.0, config=config)
    train(example.run, config)
    assert pose_changes(example.run.particles_path) == []


def test_in_refined_poses_the_decoder_does_not_move_the_whole(tmp_path):
    config = replace(CONFIG, vary=("position", "amplitude"))
    example, _ = make(tmp_path / "run", degrees=4.0, angstrom=3.0, config=config)
    rows = train(example.run, config)
    assert rows[-1]["poses_found_after"] > 0
    trained = TrainedDecoder(example.run)
    held = trained.networks.decoder
    assert isinstance(held, CoreHeldDecoder)
    everyone = np.arange(len(trained.particles))
    with torch.no_grad():
        own = held.decoder(trained.latent_of(everyone))
    torch.testing.assert_close(trained.offsets(everyone)[..., 3], own[..., 3])
    moved = displacement(trained.offsets(everyone), config.vary)
    # held once more, hardly anything is left to be taken off
    mass = held.mass.expand(moved.shape[:2]) * relative_amplitude(own, config.vary)
    screw = held._screw(moved, held._trust(moved, mass))
    left = held._moved_by(screw, slice(None))
    assert float(left.square().mean().sqrt()) < 0.2 * float(moved.square().mean().sqrt())
    # what is kept are the decoder's own weights
    kept = load_checkpoint(example.run.checkpoints_path, "best").weights
    assert not any("core" in name or "screws" in name for name in kept)
