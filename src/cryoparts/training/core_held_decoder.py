"""A decoder that cannot turn or shift the molecule as a whole: that is the pose's to say.

Where the given poses are off, a decoder learns to turn the whole molecule, or as much of it as
pays, and its latent vectors make up for the errors; then no pose looks wrong any more, and what
is left of the errors at the rim looks like a part that moves. Seen from the core, which most
Gaussians are of, a decoder tells motions of parts against each other alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from cryoparts.image_model.deformation import displacement, moved_further, relative_amplitude

if TYPE_CHECKING:
    from torch import Tensor

    from cryoparts.config import Channel
    from cryoparts.image_model.deformation import Gaussians

ROUNDS = 5
"""Fits, each with weights by the misfits of the one before."""

ENOUGH = 1000
"""Gaussians, evenly spread over the model, by which the core is found; all tell its motion."""

LEAST_MISFIT_ANGSTROM = 0.1
"""Misfits below this weigh alike: less is no motion."""

SCREWS = 6
"""Three shifts and three turns of a rigid body."""


class CoreHeldDecoder(nn.Module):
    """Takes the rigid motion of the core off each particle's displacements.

    The core of a particle is where its Gaussians move as one: their rigid motion (to first
    order in the turn) is fitted by least squares with weights (1 + (r / r0)^2)^-2 (Geman &
    McClure 1987), r the misfit of a Gaussian and r0 its lower quartile, from no motion on: the
    core is what most Gaussians, or the most that move alike, belong to.

    Parameters
    ----------
    decoder : Module
        Latent vectors (B, Z) to offsets (B, N, channels).
    neutral : Gaussians
        The neutral model, N Gaussians.
    vary : tuple
        The decoder's channels, positions among them.
    """

    mass: Tensor
    screws: Tensor
    products: Tensor

    def __init__(self, decoder: nn.Module, neutral: Gaussians, vary: tuple[Channel, ...]) -> None:
        super().__init__()
        self.decoder, self.vary = decoder, vary
        mass = neutral.amplitudes / neutral.amplitudes.sum()
        arms = neutral.positions - mass @ neutral.positions
        size = arms.norm(dim=1).mean().clamp_min(1e-6)
        each = torch.eye(3, device=arms.device).expand(len(arms), 3, 3)
        turned = torch.linalg.cross(each, (arms / size)[:, None])  # row k: e_k x arm
        # (N, 3, 6): displacement of each Gaussian by a shift, or a turn times `size`
        screws = torch.cat([each, turned.transpose(1, 2)], dim=2)
        products = torch.einsum("nki,nkj->nij", screws, screws)
        self.register_buffer("mass", mass, persistent=False)
        self.register_buffer("screws", screws, persistent=False)
        self.register_buffer("products", products.flatten(1), persistent=False)
        self.every = max(1, len(arms) // ENOUGH)

    def forward(self, latent: Tensor) -> Tensor:
        """Latent vectors (B, Z) to offsets (B, N, channels) as seen from the core."""
        offsets: Tensor = self.decoder(latent)
        moved = displacement(offsets, self.vary)
        assert moved is not None
        mass = self.mass.expand(moved.shape[:2])
        amplitude = relative_amplitude(offsets.detach(), self.vary)
        if amplitude is not None:  # where nothing is, nothing tells how it moves
            mass = mass * amplitude
        weight = self._trust(moved.detach(), mass)
        core = self._moved_by(self._screw(moved, weight), slice(None))
        return moved_further(offsets, -core, self.vary)

    def _trust(self, moved: Tensor, mass: Tensor) -> Tensor:
        """Weight of each Gaussian in the core's motion (B, N)."""
        some, everyone = slice(None, None, self.every), slice(None)
        left = moved[:, some]  # at first as if the core were still: where it is not, all move
        for turn in range(ROUNDS):
            misfit = left.square().sum(dim=2)
            quarter = max(1, misfit.shape[1] // 4)
            typical = misfit.kthvalue(quarter, dim=1, keepdim=True).values
            typical = typical.clamp_min(LEAST_MISFIT_ANGSTROM**2)
            weight = mass[:, some] * (1 + misfit / typical) ** -2
            screw = self._screw(moved[:, some], weight, some)
            shown = everyone if turn + 1 == ROUNDS else some
            left = moved[:, shown] - self._moved_by(screw, shown)
        return mass * (1 + left.square().sum(dim=2) / typical) ** -2

    def _screw(self, moved: Tensor, weight: Tensor, some: slice = slice(None)) -> Tensor:
        """Shift and turn (B, 6) that fit displacements of `some` best with weights (B, n)."""
        normal = (weight @ self.products[some]).reshape(-1, SCREWS, SCREWS)
        # Gaussians on a line do not tell a turn about it
        ridge = 1e-6 * normal.diagonal(dim1=1, dim2=2).sum(dim=1)
        normal = normal + ridge[:, None, None] * torch.eye(SCREWS, device=moved.device)
        asked = (weight[..., None] * moved).flatten(1) @ self.screws[some].flatten(0, 1)
        screw: Tensor = torch.linalg.solve_ex(normal, asked).result
        return screw

    def _moved_by(self, screw: Tensor, some: slice) -> Tensor:
        """Displacements (B, n, 3) of `some` by shifts and turns (B, 6)."""
        moved: Tensor = screw @ self.screws[some].flatten(0, 1).T
        return moved.reshape(len(screw), -1, 3)
