"""The Gaussian mixture model: N Gaussians that together are the molecule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from cryoparts.io.array_file import read_npz
from cryoparts.io.files import reading

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class GaussianModel:
    """N isotropic Gaussians; the density at X is
    ``sum_n a_n (2 pi s_n^2)^(-3/2) exp(-|X - x_n|^2 / (2 s_n^2))``.

    Parameters
    ----------
    positions : float32 array, shape (N, 3)
        (x, y, z) about the box centre, Å.
    amplitudes : float32 array, shape (N,)
        Integral of each Gaussian (scattering mass, arbitrary unit), >= 0.
    widths : float32 array, shape (N,)
        Standard deviations, Å, > 0.
    """

    positions: NDArray[np.float32]
    amplitudes: NDArray[np.float32]
    widths: NDArray[np.float32]

    def __post_init__(self) -> None:
        count = len(self.amplitudes)
        if self.positions.shape != (count, 3) or self.widths.shape != (count,):
            raise ValueError(
                f"a model of {count} Gaussians needs positions ({count}, 3) and widths ({count},), "
                f"got {self.positions.shape} and {self.widths.shape}"
            )
        if not all(np.isfinite(a).all() for a in (self.positions, self.amplitudes, self.widths)):
            raise ValueError("positions, amplitudes and widths must be finite")
        if (self.amplitudes < 0).any() or (self.widths <= 0).any():
            raise ValueError("amplitudes must be >= 0 and widths > 0")

    @classmethod
    def of(cls, positions: ArrayLike, amplitudes: ArrayLike, widths: ArrayLike) -> Self:
        """Make a model from anything array-like, converted to float32."""
        return cls(*(np.asarray(a, dtype=np.float32) for a in (positions, amplitudes, widths)))

    def __len__(self) -> int:
        return len(self.amplitudes)

    def save(self, path: Path) -> None:
        """Write an .npz with positions (Å), amplitudes and widths (Å)."""
        np.savez(path, positions=self.positions, amplitudes=self.amplitudes, widths=self.widths)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If the file is not such an .npz or its values are impossible.
        """
        what = "a model of positions (N, 3), amplitudes (N,) and widths (N,)"
        cure = "Make one with `cryoparts model`."
        stored = read_npz(path, what, cure)
        with reading(path, what, cure):
            return cls.of(stored["positions"], stored["amplitudes"], stored["widths"])
