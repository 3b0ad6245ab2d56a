"""Where each part is: the masks that maps are judged in, and the voxels that it owns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.at_rest.composite import Region
from cryoparts.at_rest.ownership import shares
from cryoparts.imaging.soft_mask import mask_around
from cryoparts.parts.part_masks import RADIUS_IN_WIDTHS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cryoparts.gaussians.model import GaussianModel

    Map = NDArray[np.float32]

EDGE_PIXELS = 6.0
"""Width of the masks' edge, as of those that `masks` writes."""

MOLECULE_IN_WIDTHS = 3.0
"""Radius of the molecule's mask about a Gaussian, in its width: 97% of its mass lies within."""


def make_regions(
    model: GaussianModel,
    parts: Sequence[tuple[str, str, NDArray[np.int64]]],
    box_size: int,
    pixel_size_angstrom: float,
) -> list[Region]:
    """Mask and share of the voxels of every part.

    Parameters
    ----------
    model : GaussianModel
        At rest.
    parts : sequence of (name, label, members)
        The Gaussians of each.
    box_size : int
    pixel_size_angstrom : float
    """
    own = shares(model, [members for _, _, members in parts], box_size, pixel_size_angstrom)
    return [
        Region(
            name,
            label,
            _mask(model, members, box_size, pixel_size_angstrom, RADIUS_IN_WIDTHS),
            share,
        )
        for (name, label, members), share in zip(parts, own, strict=True)
    ]


def molecule_mask(model: GaussianModel, box_size: int, pixel_size_angstrom: float) -> Map:
    """Soft mask around all Gaussians, shape (D, D, D)."""
    everyone = np.arange(len(model))
    return _mask(model, everyone, box_size, pixel_size_angstrom, MOLECULE_IN_WIDTHS)


def _mask(
    model: GaussianModel, members: NDArray[np.int64], box: int, pixel: float, widths: float
) -> Map:
    return mask_around(
        model.positions[members],
        box,
        pixel,
        radius_angstrom=max(widths * float(np.median(model.widths)), pixel),
        edge_pixels=EDGE_PIXELS,
    )
