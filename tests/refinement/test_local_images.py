from __future__ import annotations

import pytest
import torch

from cryoparts.refinement.local_images import LocalImages, Prior

B, U, M = 5, 3, 40
EVERYONE = torch.arange(B)


def normal(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


class Parabolas:
    """Images that bend along one direction alone."""

    def __init__(self) -> None:
        self.model, self.slopes, self.bend = normal(1, B, M), normal(2, B, U, M), normal(3, B, M)
        self.direction = normal(4, B, U)

    def at(self, unknowns: torch.Tensor) -> torch.Tensor:
        away = (unknowns * self.direction).sum(dim=1, keepdim=True)
        straight = (unknowns[:, None] @ self.slopes)[:, 0]
        return self.model + straight + away.square() * self.bend


@pytest.mark.parametrize("better", [True, False])
def test_one_image_tells_how_all_images_along_the_way_are(better):
    truth = Parabolas()
    local = LocalImages(truth.at(torch.zeros(B, U).double()), truth.slopes)
    move = 0.3 * normal(5, B, U)
    local.learn(EVERYONE, move, truth.at(move), torch.full((B,), better))
    base = move if better else torch.zeros_like(move)
    for share in (-1.0, -0.5, 0.5, 2.0):
        torch.testing.assert_close(local.at(share * move), truth.at(base + share * move))


def test_what_was_learned_of_some_changes_nothing_of_others():
    truth = Parabolas()
    local = LocalImages(truth.model, truth.slopes)
    before = local.rows.clone()
    some = torch.tensor([3, 1])
    move = normal(6, 2, U)
    local.learn(some, move, normal(7, 2, M), torch.tensor([True, False]))
    others = [0, 2, 4]
    assert torch.equal(local.rows[others], before[others])
    assert not torch.equal(local.rows[some], before[some])


def test_slope_and_curvature_are_those_of_the_likelihood():
    truth, data, noise = Parabolas(), normal(8, B, M), torch.full((B,), 0.7).double()
    local = LocalImages(truth.model, truth.slopes)
    local.learn(EVERYONE, 0.1 * truth.direction, truth.at(0.1 * truth.direction), EVERYONE < 0)
    products = local.products(EVERYONE, data)
    move = (0.1 * normal(9, B, U)).requires_grad_()
    told, _ = products.slope_and_curvature(move.detach(), noise)
    expected = torch.autograd.grad(products.log_likelihood(move, noise).sum(), move)[0]
    above = products.with_data[:, 0] > 0  # of the others the best scale is 0, and stays so
    assert above.sum() >= 2
    torch.testing.assert_close(told[above], expected[above])


def test_straight_images_are_solved_in_one_move_that_stays_in_reach():
    slopes, start = normal(10, B, U, M), 8.0 * normal(11, B, M)
    wanted = 0.3 * normal(12, B, U)
    data = start + (wanted[:, None] @ slopes)[:, 0]
    local = LocalImages(start, slopes)
    prior = Prior(torch.zeros(U).double(), 1e-9 * torch.eye(U).double())
    products, noise = local.products(EVERYONE, data), torch.full((B,), 1e-3).double()
    nowhere = torch.zeros(B, U).double()
    move, height = products.best_move(nowhere, prior, noise, torch.full((B, U), 9.0).double())
    torch.testing.assert_close(move, wanted, atol=1e-3, rtol=1e-3)
    assert (height > products.log_likelihood(nowhere, noise)).all()
    reach = torch.full((B, U), 0.01).double()
    short, _ = products.best_move(nowhere, prior, noise, reach)
    torch.testing.assert_close((short / reach).norm(dim=1), torch.ones(B).double())
