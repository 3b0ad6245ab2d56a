"""Springs between neighbouring Gaussians: a molecule bends and turns, it does not scatter.

Where a region is away, or its images tell little, a decoder may put its Gaussians
anywhere, and neighbours trade places at no cost to the agreement. A penalty on the
change of the distances between neighbours holds them together, and leaves free what proteins
do: rigid motions stretch no spring, hinges few (as the elastic networks of Tirion 1996,
Phys. Rev. Lett. 77, 1905).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

NEIGHBOURS = 4
"""Springs that begin at each Gaussian."""


@dataclass(frozen=True)
class Springs:
    """From each Gaussian of the neutral model to its nearest neighbours.

    Parameters
    ----------
    neighbours : int Tensor, shape (K, N)
    arms : Tensor, shape (K, N, 3)
        From the neighbours to the Gaussians at rest, Å.
    lengths : Tensor, shape (K, N)
        Å.
    """

    neighbours: Tensor
    arms: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, positions: NDArray[np.floating], device: torch.device) -> Self:
        """Between Gaussians at positions (N, 3), Å."""
        count = min(NEIGHBOURS + 1, len(positions))
        _, nearest = cKDTree(positions).query(positions, count)
        neighbours = torch.as_tensor(nearest.reshape(len(positions), -1)[:, 1:].T.copy())
        at = torch.as_tensor(positions, dtype=torch.float32)
        arms = at - at[neighbours]
        lengths = arms.norm(dim=2).clamp_min(1e-3)
        return cls(neighbours.to(device), arms.to(device), lengths.to(device))

    def strain(self, moved: Tensor) -> Tensor:
        """Mean square relative change of the springs' lengths.

        One neighbour after the other, so that memory is that of the Gaussians.

        Parameters
        ----------
        moved : Tensor, shape (B, N, 3)
            Displacements, Å.

        Returns
        -------
        Tensor, a scalar
        """
        total = moved.new_zeros(())
        for neighbour, arm, length in zip(self.neighbours, self.arms, self.lengths, strict=True):
            now = (arm + moved - moved[:, neighbour]).square().sum(dim=2).clamp_min(1e-6).sqrt()
            total = total + (now / length - 1.0).square().mean()
        return total / max(1, len(self.neighbours))
