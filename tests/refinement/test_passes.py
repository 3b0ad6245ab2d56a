"""How often a particle is decoded and projected: what a later change must not quietly double."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoparts.image_model.forward_model import ForwardModel
from cryoparts.refinement.decoder_slopes import GROUP
from cryoparts.refinement.particle_refinement import STEPS_A_TANGENT, ParticleRefinement
from cryoparts.training.setup import prepare_training
from training_example import PARTICLES, QUICK, make_example

Z = 8
EVERYONE = np.arange(PARTICLES)


class Bent(torch.nn.Module):
    """Every latent dimension bends the amplitudes of other Gaussians."""

    def __init__(self, gaussians: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weights = torch.randn(Z, gaussians, generator=generator)
        self.decoded = 0

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        self.decoded += len(latent)
        return torch.tanh(latent @ self.weights)[..., None]


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """A refinement and the counts that it changes."""
    setup = prepare_training(make_example(tmp_path / "run", QUICK).run, QUICK)
    decoder = Bent(len(setup.neutral.amplitudes))
    projected = []
    images_of = ForwardModel.images_of

    def counting(forward, gaussians, batch):
        projected.append(len(batch.rotation))
        return images_of(forward, gaussians, batch)

    monkeypatch.setattr(ForwardModel, "images_of", counting)
    refinement = ParticleRefinement(
        setup.forward,
        setup.objective,
        setup.neutral,
        decoder,
        ("amplitude",),
        torch.zeros(Z),
        0.1 * torch.eye(Z),
    )
    return refinement, decoder, projected


def test_a_particle_is_decoded_half_as_often_as_slopes_of_its_own_would_ask(counted):
    refinement, decoder, projected = counted
    refinement.refine(torch.zeros(PARTICLES, Z), EVERYONE)
    of_slopes = (2 * Z + 1) / GROUP
    most = 1 + of_slopes + STEPS_A_TANGENT
    assert 1 + of_slopes <= decoder.decoded / PARTICLES <= most < 0.6 * (1 + Z + STEPS_A_TANGENT)
    assert 1 + Z <= sum(projected) / PARTICLES <= 1 + Z + STEPS_A_TANGENT


def test_particles_that_have_arrived_are_left_out(counted):
    refinement, decoder, projected = counted
    arrived = refinement.refine(torch.zeros(PARTICLES, Z), EVERYONE, steps=3)
    decoder.decoded = 0
    projected.clear()
    refinement.refine(arrived, EVERYONE)
    assert decoder.decoded / PARTICLES < 3.5
    assert sum(projected) / PARTICLES < 1 + Z + 1.5


def test_leaving_out_what_has_arrived_changes_nothing_for_the_others(counted):
    refinement, _, _ = counted
    start = torch.zeros(GROUP, Z)
    rows = EVERYONE[:GROUP]
    arrived = refinement.refine(start, rows, steps=3)
    mixed = torch.where(torch.arange(GROUP)[:, None] % 2 == 0, arrived, arrived + 0.3)
    together = refinement.refine(mixed, rows)
    assert (together[::2] - arrived[::2]).norm(dim=1).median() < 0.1
    assert (together[1::2] - arrived[1::2]).norm(dim=1).median() < 0.2
