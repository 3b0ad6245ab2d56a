"""What a set of particle images must offer to be reconstructed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import ArrayLike, NDArray

    from cryoparts.conventions import CtfParameters, Poses


class ImageSource(Protocol):
    """P particle images with poses, CTF and half sets."""

    @property
    def poses(self) -> Poses:
        """Orientations and shifts."""

    @property
    def ctf(self) -> CtfParameters:
        """CTF parameters."""

    @property
    def half_set(self) -> NDArray[np.int8]:
        """1 or 2, or 0 where unknown, shape (P,)."""

    @property
    def pixel_size_angstrom(self) -> float:
        """Å per pixel."""

    @property
    def box_size(self) -> int:
        """Side D of the images, even."""

    def images(self, indices: ArrayLike) -> torch.Tensor:
        """Images with protein bright, float32 (n, D, D), in the order asked for."""
