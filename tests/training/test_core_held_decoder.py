"""A decoder held to the core tells motions of parts, and none of the whole molecule."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.image_model.deformation import (
    POSITION_UNIT_ANGSTROM,
    Gaussians,
    displacement,
    relative_amplitude,
)
from cryoparts.training.core_held_decoder import CoreHeldDecoder
from cryoparts.training.networks import Networks

GAUSSIANS, PARTICLES = 300, 5
BOTH = ("position", "amplitude")


class Given(torch.nn.Module):
    """Says what it was given, whatever the latent vectors."""

    def __init__(self, offsets: torch.Tensor) -> None:
        super().__init__()
        self.offsets = torch.nn.Parameter(offsets)

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return self.offsets + 0.0 * latent.sum()


def molecule(seed: int = 0) -> Gaussians:
    random = torch.Generator().manual_seed(seed)
    return Gaussians(
        60.0 * torch.randn(GAUSSIANS, 3, generator=random) + torch.tensor([20.0, -10.0, 5.0]),
        0.5 + torch.rand(GAUSSIANS, generator=random),
        torch.full((GAUSSIANS,), 4.0),
    )


def rigid(neutral: Gaussians, seed: int, size: float = 1.0) -> torch.Tensor:
    """Displacements (B, N, 3), Å, by a small turn and a shift of the whole in each particle."""
    random = torch.Generator().manual_seed(seed)
    turn = size * torch.deg2rad(torch.randn(PARTICLES, 1, 3, generator=random))
    shift = size * torch.randn(PARTICLES, 1, 3, generator=random)
    positions = neutral.positions.expand(PARTICLES, GAUSSIANS, 3)
    return torch.linalg.cross(turn.expand_as(positions), positions) + shift


def held(neutral: Gaussians, moved: torch.Tensor, amplitude: torch.Tensor | None = None):
    """Displacements as seen from the core, and all offsets."""
    offsets, vary = moved / POSITION_UNIT_ANGSTROM, ("position",)
    if amplitude is not None:
        offsets, vary = torch.cat([offsets, amplitude[..., None]], dim=2), BOTH
    decoder = CoreHeldDecoder(Given(offsets), neutral, vary)
    found = decoder(torch.zeros(PARTICLES, 2))
    return displacement(found, vary), found, decoder


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.floats(0.1, 5.0))
def test_a_motion_of_the_whole_is_not_told(seed, size):
    neutral = molecule(seed)
    moved = rigid(neutral, seed, size)
    left, *_ = held(neutral, moved)
    assert float(left.detach().abs().max()) < 1e-3 * float(moved.abs().max())


@pytest.mark.parametrize("share", [0.1, 0.25, 0.4, 0.45])
def test_a_part_moves_and_the_core_is_still_whatever_the_whole_does(share):
    neutral = molecule()
    # a part on one side, which moves by 8 Å and turns
    part = neutral.positions[:, 0] > torch.quantile(neutral.positions[:, 0], 1 - share)
    own = torch.zeros(PARTICLES, GAUSSIANS, 3)
    own[:, part] = rigid(neutral, 3, 4.0)[:, part] + torch.tensor([0.0, 8.0, 0.0])
    noise = 0.1 * torch.randn(own.shape, generator=torch.Generator().manual_seed(1))
    alone, *_ = held(neutral, own + noise)
    together, *_ = held(neutral, own + noise + rigid(neutral, 4, 2.0))
    torch.testing.assert_close(alone, together, atol=0.1, rtol=0.0)
    assert float((together - own).detach().square().sum(dim=2).mean().sqrt()) < 0.4
    assert float(together.detach()[:, ~part].norm(dim=2).median()) < 0.3


def test_what_is_not_there_does_not_tell_how_the_core_moves():
    neutral = molecule()
    away = neutral.positions[:, 0] > 0  # more than half of it
    own = torch.zeros(PARTICLES, GAUSSIANS, 3)
    own[:, away] = rigid(neutral, 5, 6.0)[:, away]
    amplitude = torch.where(away, -6.0, 0.0).expand(PARTICLES, GAUSSIANS)
    assert float(relative_amplitude(amplitude[..., None], ("amplitude",)).min()) < 1e-4
    moved, found, _ = held(neutral, own + rigid(neutral, 6), amplitude)
    assert float(moved.detach()[:, ~away].abs().max()) < 0.05
    torch.testing.assert_close(found[..., 3], amplitude)


def test_gradients_are_of_what_is_left_alone():
    neutral = molecule()
    moved = rigid(neutral, 7)
    moved[:, :30] += 5.0
    left, _, decoder = held(neutral, moved)
    target = torch.randn(left.shape, generator=torch.Generator().manual_seed(2))
    (left * target).sum().backward()
    gradient = decoder.decoder.offsets.grad.reshape(PARTICLES, -1)
    # along a motion of the whole nothing changes, so the gradient has no share of it
    along = rigid(neutral, 8).reshape(PARTICLES, -1)
    share = (gradient * along).sum(dim=1) / (gradient.norm(dim=1) * along.norm(dim=1))
    assert float(share.abs().max()) < 1e-4
    assert float(gradient.abs().max()) > 0.1


def test_gaussians_on_a_line_give_numbers():
    neutral = molecule()
    line = Gaussians(
        neutral.positions * torch.tensor([1.0, 0.0, 0.0]), neutral.amplitudes, neutral.widths
    )
    left, *_ = held(line, rigid(line, 9))
    assert torch.isfinite(left).all()
    assert float(left.detach().abs().max()) < 0.05


def test_only_positions_can_move_the_whole():
    neutral = molecule()
    decoder = Given(torch.zeros(PARTICLES, GAUSSIANS, 1))
    networks = Networks(torch.nn.Identity(), decoder)
    assert networks.held_to_core(neutral, ("amplitude",)) is networks
    once = Networks(torch.nn.Identity(), decoder).held_to_core(neutral, BOTH)
    assert once.held_to_core(neutral, BOTH) is once
    # the weights that are trained and kept are the decoder's own
    kept = list(once.decoder.parameters())
    assert len(kept) == 1
    assert kept[0] is decoder.offsets
    assert np.isfinite(sum(float(p.detach().sum()) for p in kept))
