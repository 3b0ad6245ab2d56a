from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryoparts.image_model.deformation import deform
from cryoparts.refinement.particle_refinement import ParticleRefinement
from cryoparts.training.setup import prepare_training
from training_example import QUICK, make_example

EVERYONE = np.arange(96)


class TwoHalves(torch.nn.Module):
    """The first latent dimension drives the optional Gaussians, the second nothing."""

    def __init__(self, optional: np.ndarray) -> None:
        super().__init__()
        self.driven = torch.as_tensor(optional, dtype=torch.float32)

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return (latent[:, :1] * self.driven)[..., None]


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    example = make_example(tmp_path_factory.mktemp("refine") / "run", QUICK)
    setup = prepare_training(example.run, QUICK)
    refinement = ParticleRefinement(
        setup.forward,
        setup.objective,
        setup.neutral,
        TwoHalves(example.optional),
        ("amplitude",),
        torch.zeros(2),
        torch.eye(2),
    )
    return example, refinement


def test_particles_without_the_optional_half_are_told_from_those_with_it(case):
    example, refinement = case
    refined = refinement.refine(torch.zeros(96, 2), EVERYONE, steps=3)
    assert refined[example.present, 0].min() > refined[~example.present, 0].max()


def test_a_dimension_of_which_the_images_know_nothing_goes_to_its_mean(case):
    _, refinement = case
    refined = refinement.refine(torch.full((96, 2), 0.5), EVERYONE, steps=3)
    assert refined[:, 1].abs().mean() < 0.02


def test_a_narrow_prior_holds_the_latent_vectors(case):
    _, refinement = case
    held = replace(refinement, covariance=1e-8 * torch.eye(2))
    assert held.refine(torch.zeros(96, 2), EVERYONE, steps=2).abs().max() < 1e-2


def test_no_step_makes_a_particle_less_probable(case):
    _, refinement = case
    start = torch.randn(96, 2, generator=torch.Generator().manual_seed(0))

    def agreement(latent):
        batch = refinement.forward.batch(EVERYONE)
        gaussians = deform(refinement.neutral, refinement.decoder(latent), refinement.vary)
        images = refinement.forward.images_of(gaussians, batch)
        return refinement.objective.agreement(batch.data, images)

    # With a prior that is all but flat, more probable means in better agreement.
    flat = replace(refinement, covariance=1e4 * torch.eye(2))
    refined = flat.refine(start, EVERYONE, steps=1)
    assert (agreement(refined) >= agreement(start) - 1e-5).all()
    assert (agreement(refined) > agreement(start) + 1e-3).any()


def test_no_steps_change_nothing_and_batches_do_not_matter(case):
    _, refinement = case
    start = torch.randn(96, 2, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(refinement.refine(start, EVERYONE, steps=0), start)
    some = np.array([40, 3])
    torch.testing.assert_close(
        refinement.refine(start[some], some),
        refinement.refine(start, EVERYONE)[some],
        atol=1e-2,  # the slopes are those of other neighbours
        rtol=1e-2,
    )


def test_a_bent_decoder_is_solved_better_with_more_steps_of_one_tangent(case, monkeypatch):
    _, refinement = case
    start = torch.full((96, 2), -1.0)

    def score(steps):
        monkeypatch.setattr("cryoparts.refinement.particle_refinement.STEPS_A_TANGENT", steps)
        refined = refinement.refine(start, EVERYONE, steps=1)
        batch = refinement.forward.batch(EVERYONE)
        gaussians = deform(refinement.neutral, refinement.decoder(refined), refinement.vary)
        images = refinement.forward.images_of(gaussians, batch)
        return float(refinement.objective.agreement(batch.data, images).mean())

    assert score(5) > score(1)
