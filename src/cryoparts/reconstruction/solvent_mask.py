"""A soft mask around the molecule, from the density itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.gaussians.solvent import find_molecule, find_threshold
from cryoparts.imaging.soft_mask import mask_of_voxels
from cryoparts.reconstruction.fourier_filters import filtered, low_pass_filter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Map = NDArray[np.float32]

BLUR_ANGSTROM = 15.0
"""The density is low-passed to this before it is cut, or to three pixels."""


def solvent_mask(
    maps: Sequence[Map],
    pixel_size_angstrom: float,
    *,
    extend_pixels: float = 2.0,
    edge_pixels: float = 4.0,
) -> Map:
    """1 on whatever one of the maps shows and a margin around it, then a cosine edge.

    One mask for all states of a part, so that their FSCs and differences
    compare: a voxel belongs to the molecule where any state has density above
    the threshold of their mean, in pieces larger than dust. It is made from the
    half maps' averages, so their FSC inside it needs the correction of
    `phase_randomisation`.

    Parameters
    ----------
    maps : sequence of arrays, shape (D, D, D)
        Averages of each state's half maps.
    pixel_size_angstrom : float
    extend_pixels : float
        Margin that is wholly inside.
    edge_pixels : float
        Width of the edge.

    Raises
    ------
    InputError
        If nothing stands out of the solvent.
    """
    box = len(maps[0])
    blur = max(BLUR_ANGSTROM, 3 * pixel_size_angstrom)
    window = low_pass_filter(box, pixel_size_angstrom, blur)
    blurred = [filtered(density, window) for density in maps]
    threshold, _ = find_threshold(np.mean(blurred, axis=0))
    smallest = (blur / pixel_size_angstrom) ** 3
    found = find_molecule(
        np.max(blurred, axis=0), threshold=threshold, smallest_voxels=smallest, where="solvent mask"
    )
    return mask_of_voxels(found.molecule, edge_pixels, extend_pixels=extend_pixels)
