"""Poses as unknowns: what was done to the given poses is found, and exact ones are left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryoparts.conventions import Poses
from cryoparts.errors import InputError
from cryoparts.image_model.deformation import POSITION_UNIT_ANGSTROM
from cryoparts.image_model.forward_model import ForwardModel
from cryoparts.particles.pose_change import PoseChange, PoseSpread
from cryoparts.particles.prepared import PreparedParticles
from cryoparts.refinement.least_squares import LeastSquares
from cryoparts.refinement.particle_refinement import ParticleRefinement
from cryoparts.refinement.pose_spread import LOOSE, learned_spread
from cryoparts.training.core_held_decoder import CoreHeldDecoder
from cryoparts.training.setup import prepare_training
from training_example import PARTICLES, QUICK, make_example

EVERYONE = np.arange(PARTICLES)
TURN_DEGREES, SHIFT_ANGSTROM = 3.0, 2.0


class Presence(torch.nn.Module):
    """One latent dimension: how much of the optional Gaussians is there."""

    def __init__(self, optional: np.ndarray) -> None:
        super().__init__()
        self.optional = torch.as_tensor(optional, dtype=torch.float32)

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return (latent[:, :1] * self.optional)[..., None]


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """The example with little noise, its truth as decoder, and errors for its poses."""
    example = make_example(tmp_path_factory.mktemp("poses") / "run", QUICK, noise=0.3)
    setup = prepare_training(example.run, QUICK)
    latent = torch.where(torch.as_tensor(example.present)[:, None], 0.0, -6.0).float()
    exact = ParticleRefinement(
        setup.forward,
        setup.objective,
        setup.neutral,
        Presence(example.optional),
        ("amplitude",),
        latent.mean(dim=0),
        torch.cov(latent.T).reshape(1, 1),
        latent_held=True,
    )
    random = np.random.default_rng(7)
    turn = random.normal(size=(PARTICLES, 3)) * np.deg2rad(TURN_DEGREES)
    shift = random.normal(size=(PARTICLES, 2)) * SHIFT_ANGSTROM
    return exact, latent, turn, shift


def with_errors(exact: ParticleRefinement, turn, shift) -> ParticleRefinement:
    particles = exact.forward.particles
    poses = Poses(
        Rotation.from_rotvec(-turn).as_matrix() @ particles.poses.rotation,
        particles.poses.shift_angstrom - shift,
    )
    off = replace(particles, poses=poses, _given=None)
    return replace(exact, forward=ForwardModel(off, exact.forward.device))


def solved(exact, latent, turn, shift) -> np.ndarray:
    spread = PoseSpread(np.deg2rad(TURN_DEGREES), SHIFT_ANGSTROM)
    off = replace(with_errors(exact, turn, shift), pose_spread=spread)
    return off.solve(latent, EVERYONE, steps=2).pose.numpy()


def test_a_particle_turned_and_shifted_goes_back(case):
    exact, latent, turn, shift = case
    found = solved(exact, latent, turn, shift)
    assert np.std(found[:, :3] - turn) < 0.5 * np.std(turn)
    assert np.std(found[:, 3:] - shift) < 0.35 * np.std(shift)


def test_the_variance_that_is_told_is_the_variance_that_is(case):
    exact, latent, turn, shift = case
    spread = PoseSpread(np.deg2rad(TURN_DEGREES), SHIFT_ANGSTROM)
    off = replace(with_errors(exact, turn, shift), pose_spread=spread)
    refined = off.solve(latent, EVERYONE, steps=2)
    left = refined.pose.numpy() - np.concatenate([turn, shift], axis=1)
    told = refined.pose_variance.numpy()
    for columns in (slice(0, 3), slice(3, 5)):
        ratio = np.median(left[:, columns] ** 2 / told[:, columns]) / 0.455  # of chi-squared
        # the noise was measured against the neutral model, whose misfit counts as noise
        assert 0.3 < ratio < 2.0


def test_a_change_applied_to_the_poses_is_the_change_that_was_solved_for(case):
    exact, latent, turn, shift = case
    few = np.arange(8)
    unknowns = torch.as_tensor(np.concatenate([turn, shift], axis=1)[few], dtype=torch.float32)
    posed = replace(exact, pose_spread=PoseSpread(1.0, 1.0))
    changed = LeastSquares.of(posed, latent[few], unknowns, few)
    particles = exact.forward.particles
    change = PoseChange(turn, shift, PoseSpread(1.0, 1.0))
    forward = ForwardModel(particles.with_pose_change(change), exact.forward.device)
    still = torch.zeros(len(few), 5)
    applied = LeastSquares.of(replace(posed, forward=forward), latent[few], still, few)
    # as the images are given: the data of the one are shifted, the model of the other is
    products = [
        (problem._images(problem._start(), problem._gaussians(None)) * problem.data).sum(dim=1)
        for problem in (changed, applied)
    ]
    torch.testing.assert_close(products[0], products[1], rtol=1e-3, atol=1e-3)


def test_the_spread_of_the_errors_is_learned(case):
    exact, latent, turn, shift = case
    spread = learned_spread(with_errors(exact, turn, shift), latent, EVERYONE)
    assert spread is not None
    assert np.rad2deg(spread.turn) == pytest.approx(TURN_DEGREES, rel=0.3)
    assert spread.shift_angstrom == pytest.approx(SHIFT_ANGSTROM, rel=0.3)


def test_a_fifth_of_lost_poses_does_not_set_the_spread(case):
    exact, latent, turn, shift = case
    lost = turn.copy()
    lost[::5] = Rotation.random(len(lost[::5]), random_state=3).as_rotvec()
    spread = learned_spread(with_errors(exact, lost, shift), latent, EVERYONE)
    assert spread is not None
    assert np.rad2deg(spread.turn) == pytest.approx(TURN_DEGREES, rel=0.5)


class Turned(torch.nn.Module):
    """Three latent dimensions: a small turn of the whole molecule, in its own frame."""

    def __init__(self, positions: torch.Tensor) -> None:
        super().__init__()
        self.positions = positions

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        shape = (len(latent), *self.positions.shape)
        moved = torch.linalg.cross(latent[:, None].expand(shape), self.positions.expand(shape))
        return moved / POSITION_UNIT_ANGSTROM


def test_errors_of_poses_that_a_decoder_has_learned_to_make_up_for_are_seen(case):
    exact, _, turn, _ = case
    off = with_errors(exact, turn, np.zeros((PARTICLES, 2)))
    rotation = off.forward.particles.poses.rotation
    # what the molecule does in its own frame to look as it does in the true pose
    learned = np.einsum("pji,pj->pi", rotation, turn)
    latent = torch.as_tensor(learned, dtype=torch.float32)
    decoder, vary = Turned(off.neutral.positions), ("position",)
    made_up = replace(
        off, decoder=decoder, vary=vary, mean=latent.mean(dim=0), covariance=latent.T.cov()
    )
    assert learned_spread(made_up, latent, EVERYONE) is None
    held = replace(made_up, decoder=CoreHeldDecoder(decoder, off.neutral, vary))
    spread = learned_spread(held, latent, EVERYONE)
    assert spread is not None
    assert np.rad2deg(spread.turn) == pytest.approx(TURN_DEGREES, rel=0.3)


class Swing(torch.nn.Module):
    """One latent dimension: how far one half of the molecule has moved along x, Å."""

    def __init__(self, positions: torch.Tensor) -> None:
        super().__init__()
        self.moves = (positions[:, 2] > positions[:, 2].median()).float()

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        along_x = latent[:, :1] * self.moves / POSITION_UNIT_ANGSTROM
        return torch.nn.functional.pad(along_x[..., None], (0, 2))


def test_shapes_that_the_encoder_has_not_hit_are_no_errors_of_poses(case):
    exact, *_ = case
    # all are at rest, and the encoder says that they are not
    latent = torch.randn((PARTICLES, 1), generator=torch.Generator().manual_seed(4)) * 6.0
    decoder, vary = Swing(exact.neutral.positions), ("position",)
    missed = replace(
        exact, decoder=decoder, vary=vary, mean=torch.zeros(1), covariance=torch.full((1, 1), 36.0)
    )
    as_encoded = replace(missed, pose_spread=LOOSE).solve(latent, EVERYONE, steps_a_tangent=3)
    assert as_encoded.pose[:, 3:].std() > 1.0
    assert learned_spread(missed, latent, EVERYONE) is None


@pytest.mark.parametrize("kind", ["turn", "shift"])
def test_what_moves_along_an_axis_of_the_molecule_is_no_error_of_poses(case, kind):
    exact, latent, turn, shift = case
    rotation = exact.forward.particles.poses.rotation
    axis = rotation @ np.array([0.48, 0.6, 0.64])
    amount = np.random.default_rng(11).normal(size=(PARTICLES, 1))
    turned = axis * amount * np.deg2rad(2 * TURN_DEGREES) * (kind == "turn")
    shifted = axis[:, :2] * amount * 3 * SHIFT_ANGSTROM * (kind == "shift")
    # the molecule that is turned about its axis looks as if its pose were
    moving = with_errors(exact, turned, shifted)
    held = replace(moving, pose_spread=LOOSE).solve(latent, EVERYONE, steps_a_tangent=3)
    found, made = (held.pose[:, :3], turned) if kind == "turn" else (held.pose[:, 3:], shifted)
    assert np.corrcoef(found.numpy().ravel(), made.ravel())[0, 1] > 0.8
    assert learned_spread(moving, latent, EVERYONE) is None
    wrong = with_errors(exact, turn * (kind == "turn"), shift * (kind == "shift"))
    assert learned_spread(wrong, latent, EVERYONE) is not None


def test_exact_poses_are_not_worth_refining(case):
    exact, latent, *_ = case
    assert learned_spread(exact, latent, EVERYONE) is None
    assert learned_spread(exact, latent[:0], EVERYONE[:0]) is None


def test_poses_that_are_held_do_not_change(case):
    exact, latent, *_ = case
    free = replace(exact, latent_held=False)
    assert torch.equal(free.solve(latent, EVERYONE).pose, torch.zeros(PARTICLES, 5))


def test_a_wide_latent_prior_and_a_pose_are_found_together(case):
    exact, latent, turn, shift = case
    spread = PoseSpread(np.deg2rad(TURN_DEGREES), SHIFT_ANGSTROM)
    free = replace(with_errors(exact, turn, shift), pose_spread=spread, latent_held=False)
    start = torch.full_like(latent, -1.0)
    refined = free.solve(start, EVERYONE, steps=3)
    there = latent[:, 0] > -1
    assert refined.latent[there, 0].median() > refined.latent[~there, 0].median() + 1.0
    assert np.std(refined.pose[:, :3].numpy() - turn) < 0.6 * np.std(turn)


def test_a_change_is_read_back_and_opens_with_the_particles(case, tmp_path):
    exact, _, turn, shift = case
    folder = exact.forward.particles.folder
    change = PoseChange(turn, shift, PoseSpread(0.05, 2.0))
    path = folder / "pose_change_0002.npz"
    given = PreparedParticles.open(folder)
    try:
        change.save(path)
        opened = PreparedParticles.open(folder)
        np.testing.assert_allclose(
            opened.poses.rotation, change.applied(given.poses).rotation, atol=1e-6
        )
        np.testing.assert_allclose(
            opened.poses.shift_angstrom, given.poses.shift_angstrom + shift, atol=1e-5
        )
        assert np.array_equal(opened.with_given_poses().poses.rotation, given.poses.rotation)
        PoseChange(turn[:5], shift[:5], PoseSpread(0.05, 2.0)).save(path)
        with pytest.raises(InputError, match="of 5 particles, the run has 96"):
            PreparedParticles.open(folder)
        np.savez(path, turn=turn)
        with pytest.raises(InputError, match="pose_change_0002"):
            PoseChange.load(path)
    finally:
        path.unlink()


def test_what_is_told_of_a_change(case):
    _, _, turn, shift = case
    change = PoseChange(turn, shift, PoseSpread(0.05, 2.0))
    np.testing.assert_allclose(
        change.angle_degrees, np.rad2deg(Rotation.from_rotvec(turn).magnitude())
    )
    np.testing.assert_allclose(change.distance_angstrom, np.hypot(*shift.T))


def test_slopes_by_the_pose_are_those_of_finite_differences(case):
    exact, latent, turn, shift = case
    few = np.arange(4)
    start = torch.as_tensor(np.concatenate([turn, shift], axis=1)[few], dtype=torch.float32)
    posed = replace(exact, pose_spread=PoseSpread(np.deg2rad(1.0), 1.0))
    problem = LeastSquares.of(posed, latent[few], start, few)
    shown, unknowns = problem._gaussians(None), problem._start()
    slopes = problem._slopes(unknowns, problem._images(unknowns, shown), None)
    step = 0.05
    for axis in range(5):
        move = step * torch.eye(5)[axis]
        ahead, behind = (problem._images(unknowns + sign * move, shown) for sign in (1, -1))
        expected = (ahead - behind) / (2 * step)
        error = (slopes[:, axis] - expected).norm(dim=1) / expected.norm(dim=1)
        assert error.max() < 0.05
