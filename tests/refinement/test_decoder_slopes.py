from __future__ import annotations

import torch

from cryoparts.refinement.decoder_slopes import neighbours_first, shared_slopes

Z, N, CHANNELS = 3, 7, 2


def normal(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


LINEAR = normal(0, Z, N * CHANNELS)


def straight(latent: torch.Tensor) -> torch.Tensor:
    return (latent @ LINEAR).unflatten(1, (N, CHANNELS))


def bent(latent: torch.Tensor) -> torch.Tensor:
    return (latent @ LINEAR + latent.square() @ LINEAR).unflatten(1, (N, CHANNELS))


def slopes(decode, latent, group):
    return shared_slopes(decode, latent, decode(latent), torch.ones(Z).double(), group)


def test_of_a_straight_decoder_they_are_its_slopes():
    latent = normal(1, 11, Z)
    expected = LINEAR.unflatten(1, (N, CHANNELS))[:, None].expand(-1, 11, -1, -1)
    torch.testing.assert_close(slopes(straight, latent, 4), expected)


def test_of_a_particle_alone_they_are_central_differences_at_its_place():
    latent = normal(2, 5, Z)
    expected = (1 + 2 * latent.T[:, :, None]) * LINEAR[:, None]
    torch.testing.assert_close(slopes(bent, latent, 1).flatten(2), expected)


def test_what_a_particle_decodes_to_tells_its_slope_along_the_way_from_the_middle():
    latent = normal(3, 8, Z)
    found = slopes(bent, latent, 8)
    away = latent - latent.mean(dim=0)
    exact = ((1 + 2 * latent.T[:, :, None]) * LINEAR[:, None]).unflatten(2, (N, CHANNELS))
    torch.testing.assert_close(
        torch.einsum("bz,zbnc->bnc", away, found), torch.einsum("bz,zbnc->bnc", away, exact)
    )


def test_neighbours_share_a_group_and_everybody_is_in_one():
    centres = 100 * normal(4, 6, Z)
    points = (centres[:, None] + normal(5, 6, 16, Z)).flatten(0, 1)
    shuffled = torch.randperm(96, generator=torch.Generator().manual_seed(6))
    order = neighbours_first(points[shuffled], 16)
    assert sorted(order.tolist()) == list(range(96))
    of_centre = shuffled[order].div(16, rounding_mode="floor").reshape(6, 16)
    assert (of_centre == of_centre[:, :1]).all()


def test_the_last_group_alone_is_short():
    order = neighbours_first(normal(7, 53, Z), 16)
    assert sorted(order.tolist()) == list(range(53))
    assert neighbours_first(normal(8, 0, Z)).shape == (0,)
