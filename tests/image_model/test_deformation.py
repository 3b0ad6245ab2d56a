from __future__ import annotations

import itertools

import pytest
import torch

from cryoparts.image_model.deformation import (
    Gaussians,
    channel_count,
    deform,
    displacement,
    relative_amplitude,
    relative_width,
)

ALL = ("position", "amplitude", "width")
SUBSETS = [s for n in (1, 2, 3) for s in itertools.permutations(ALL, n)]
NEUTRAL = Gaussians(torch.randn(6, 3), torch.rand(6) + 0.5, torch.rand(6) + 3)


@pytest.mark.parametrize("vary", SUBSETS)
def test_zero_offsets_give_the_neutral_model(vary):
    deformed = deform(NEUTRAL, torch.zeros(2, 6, channel_count(vary)), vary)
    for ours, neutral in zip(
        (deformed.positions, deformed.amplitudes, deformed.widths),
        (NEUTRAL.positions, NEUTRAL.amplitudes, NEUTRAL.widths),
        strict=True,
    ):
        torch.testing.assert_close(
            ours.expand(2, *neutral.shape), neutral.expand_as(ours.expand(2, *neutral.shape))
        )


@pytest.mark.parametrize("vary", SUBSETS)
def test_each_channel_changes_its_own_kind_only(vary):
    for channel in vary:
        offsets = torch.zeros(1, 6, channel_count(vary))
        start = channel_count(vary[: vary.index(channel)])
        offsets[..., start] = 0.7
        kinds = {
            "position": displacement(offsets, vary),
            "amplitude": relative_amplitude(offsets, vary),
            "width": relative_width(offsets, vary),
        }
        rest = {"position": 0.0, "amplitude": 1.0, "width": 1.0}
        for name, value in kinds.items():
            if name not in vary:
                assert value is None
            else:
                changed = not torch.allclose(value, torch.full_like(value, rest[name]))
                assert changed == (name == channel)


def test_amplitudes_are_bounded_and_never_stuck():
    offsets = torch.tensor([[[-4.0], [0.0], [4.0]]], requires_grad=True)
    relative = relative_amplitude(offsets, ("amplitude",))
    relative.sum().backward()
    assert (relative > 0).all()
    assert (relative < 2).all()
    assert (offsets.grad > 0).all()
