"""Regions whose comings and goings the decoder did not learn, as a file of the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from cryoparts.io.array_file import read_npz
from cryoparts.io.atomic import write_atomically
from cryoparts.io.files import reading

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CURE = "Run `cryoparts train` with --resume again."


@dataclass(frozen=True)
class MissedRegions:
    """K regions found in what the trained model leaves over of the images.

    Parameters
    ----------
    members : bool array, shape (K, N)
        Gaussians of each.
    excess : array, shape (K,)
        Variance over the particles of what the images ask of the region, over that which noise
        alone gives it; of particles that the region was not found on.
    """

    members: NDArray[np.bool_]
    excess: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.members)

    def save(self, path: Path) -> None:
        """Write an .npz."""
        with write_atomically(path) as temporary:
            np.savez(temporary, members=self.members, excess=self.excess)

    @classmethod
    def load(cls, path: Path, n_gaussians: int) -> Self:
        """Read what `save` wrote; no regions where there is no file.

        Raises
        ------
        InputError
            If it is damaged or of another model.
        """
        if not path.is_file():
            return cls(np.zeros((0, n_gaussians), dtype=np.bool_), np.zeros(0))
        arrays = read_npz(path, "regions that the decoder missed", CURE)
        with reading(path, "regions that the decoder missed", CURE):
            members, excess = arrays["members"], arrays["excess"]
            if members.dtype != np.bool_ or members.shape != (len(excess), n_gaussians):
                raise ValueError(
                    f"members {members.dtype} {members.shape}, {n_gaussians} Gaussians"
                )
            return cls(members, excess.astype(np.float64))
