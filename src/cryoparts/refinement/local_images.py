"""How particles' images change near the present unknowns, and the best step as far as that says.

To first order the images change along slopes. They bend as well, and every image that has been
computed tells how much along the way that was gone to it: where one was not what the slopes
promised, the difference is taken to be quadratic along that way. Steps that know of the last
bend are a tensor method with one term (Schnabel and Frank 1984, SIAM J. Numer. Anal. 21, 815).
They get as far in two images as Gauss-Newton steps with shortened lengths in five.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

TRIES = 8
"""Steps of the search for the best place under what is known; it asks for no image."""

FIRST_DAMPING = 1e-3
"""Of the search, relative to the curvatures; less after a step uphill, more after another."""


@dataclass(frozen=True)
class Prior:
    """Normal distribution of U unknowns.

    Parameters
    ----------
    mean : Tensor, shape (U,)
    precision : Tensor, shape (U, U)
    """

    mean: Tensor
    precision: Tensor

    def pull(self, unknowns: Tensor) -> Tensor:
        """Slope (B, U) of minus the logarithm of its density."""
        pulled: Tensor = (unknowns - self.mean) @ self.precision
        return pulled

    def log_density(self, unknowns: Tensor) -> Tensor:
        """(B,), less a constant."""
        density: Tensor = -0.5 * (self.pull(unknowns) * (unknowns - self.mean)).sum(dim=1)
        return density


class LocalImages:
    """Images of B particles about their present unknowns: ``model + slopes d + bend (along d)^2``.

    Parameters
    ----------
    model : Tensor, shape (B, M)
    slopes : Tensor, shape (B, U, M)
    """

    def __init__(self, model: Tensor, slopes: Tensor) -> None:
        self.rows = torch.cat([model[:, None], slopes, torch.zeros_like(model[:, None])], dim=1)
        self.along = slopes.new_zeros(slopes.shape[:2])

    def at(self, move: Tensor) -> Tensor:
        """Images (B, M) a move (B, U) away."""
        shares = _shares(move, self.along)
        return (shares[:, None] @ self.rows)[:, 0]

    def products(self, which: Tensor, data: Tensor) -> Products:
        """Of the chosen particles (n,) with their data (n, M)."""
        rows = self.rows[which]
        return Products(
            rows @ rows.transpose(1, 2), (rows @ data[:, :, None])[..., 0], self.along[which]
        )

    def learn(self, which: Tensor, move: Tensor, image: Tensor, better: Tensor) -> None:
        """Take in the images (n, M) of the chosen particles a move (n, U) away.

        Where it was better (n,), it is there that the images are known from now on.
        """
        rows = self.rows[which]
        bend = image - rows[:, 0] - (move[:, None] @ rows[:, 1:-1])[:, 0]
        along = move / move.square().sum(dim=1, keepdim=True).clamp_min(1e-30)
        rows[:, -1] = bend
        # the slopes of a parabola at its other end
        there = rows[:, 1:-1] + 2.0 * along[:, :, None] * bend[:, None]
        rows[:, 1:-1] = torch.where(better[:, None, None], there, rows[:, 1:-1])
        rows[:, 0] = torch.where(better[:, None], image, rows[:, 0])
        self.rows[which], self.along[which] = rows, along


@dataclass(frozen=True)
class Products:
    """All that the likelihood of n particles needs of their `LocalImages`.

    Parameters
    ----------
    of_rows : Tensor, shape (n, U + 2, U + 2)
        Of model, slopes and bend with each other.
    with_data : Tensor, shape (n, U + 2)
    along : Tensor, shape (n, U)
    """

    of_rows: Tensor
    with_data: Tensor
    along: Tensor

    def log_likelihood(self, move: Tensor, noise: Tensor) -> Tensor:
        """(n,), less a constant, a move (n, U) away, with the images at their best scale."""
        shares = _shares(move, self.along)
        power = ((shares[:, None] @ self.of_rows)[:, 0] * shares).sum(dim=1).clamp_min(1e-30)
        explained = (shares * self.with_data).sum(dim=1).clamp_min(0.0)
        likelihood: Tensor = explained.square() / power / (2.0 * noise)
        return likelihood

    def slope_and_curvature(self, move: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Slope (n, U) and curvature (n, U, U) of the log-likelihood a move (n, U) away."""
        shares = _shares(move, self.along)
        turning = 2.0 * (move * self.along).sum(dim=1)[:, None] * self.along
        # how the shares change with each unknown, (n, U, U + 2)
        changes = torch.cat(
            [
                torch.zeros_like(move)[:, :, None],
                torch.eye(move.shape[1], device=move.device).expand(len(move), -1, -1),
                turning[:, :, None],
            ],
            dim=2,
        )
        of_changes = changes @ self.of_rows
        with_model = (of_changes @ shares[:, :, None])[..., 0]
        power = ((shares[:, None] @ self.of_rows)[:, 0] * shares).sum(dim=1).clamp_min(1e-30)
        scale = (shares * self.with_data).sum(dim=1) / power
        # The scale is free: slopes along the model itself tell nothing.
        along = with_model[:, :, None] * with_model[:, None] / power[:, None, None]
        across = of_changes @ changes.transpose(1, 2) - along
        curvature = (scale.square() / noise)[:, None, None] * across
        asked = (changes @ self.with_data[:, :, None])[..., 0] - scale[:, None] * with_model
        return (scale / noise)[:, None] * asked, curvature

    def best_move(
        self, unknowns: Tensor, prior: Prior, noise: Tensor, reach: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The move (n, U) to the highest posterior within reach, and how high (n,) it is.

        Parameters
        ----------
        unknowns : Tensor, shape (n, U)
            The present ones.
        prior : Prior
        noise : Tensor, shape (n,)
        reach : Tensor, shape (n, U)
            Half axes of the ellipsoid that the move stays in.
        """
        move = torch.zeros_like(unknowns)
        height = self._posterior(unknowns, move, prior, noise)
        damping = torch.full_like(height, FIRST_DAMPING)
        for _ in range(TRIES):
            slope, curvature = self.slope_and_curvature(move, noise)
            curvature = curvature + prior.precision
            damped = damping[:, None, None] * torch.diag_embed(curvature.diagonal(dim1=1, dim2=2))
            uphill = slope - prior.pull(unknowns + move)
            tried = move + torch.linalg.solve(curvature + damped, uphill)
            tried = tried / (tried / reach).norm(dim=1, keepdim=True).clamp_min(1.0)
            found = self._posterior(unknowns, tried, prior, noise)
            better = found > height
            move = torch.where(better[:, None], tried, move)
            height = torch.where(better, found, height)
            damping = torch.where(better, 0.2 * damping, 8.0 * damping)
        return move, height

    def _posterior(self, unknowns: Tensor, move: Tensor, prior: Prior, noise: Tensor) -> Tensor:
        return self.log_likelihood(move, noise) + prior.log_density(unknowns + move)


def _shares(move: Tensor, along: Tensor) -> Tensor:
    """Shares (n, U + 2) of model, slopes and bend in the images a move (n, U) away."""
    bent = (move * along).sum(dim=1, keepdim=True).square()
    return torch.cat([torch.ones_like(bent), move, bent], dim=1)
