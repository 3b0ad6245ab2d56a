"""Which body owns a voxel, shared softly where bodies meet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.gaussians.density import render
from cryoparts.gaussians.model import GaussianModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Map = NDArray[np.float32]

NARROWEST_PIXELS = 1.5
"""Gaussians are drawn at least so wide, pixels: the border between two bodies is as soft."""

OUTSIDE = 0.02
"""Of the density at a typical Gaussian: what the solvent has to say against the bodies."""


def shares(
    model: GaussianModel,
    bodies: Sequence[NDArray[np.int64]],
    box_size: int,
    pixel_size_angstrom: float,
) -> list[Map]:
    """How much each voxel belongs to each body, from the densities of their Gaussians.

    The share of a body is its Gaussians' density over that of all Gaussians and of the
    solvent (2% of the density at a typical Gaussian). What no body claims, solvent and
    Gaussians of none of them, is left to the consensus map.

    Parameters
    ----------
    model : GaussianModel
        At rest.
    bodies : sequence of int arrays
        The Gaussians of each.
    box_size : int
    pixel_size_angstrom : float

    Returns
    -------
    list of float32 arrays, shape (D, D, D)
        Of each body; their sum is at most 1 everywhere.
    """
    wide = replace(
        model,
        widths=np.maximum(model.widths, np.float32(NARROWEST_PIXELS * pixel_size_angstrom)),
    )
    whole = render(wide, box_size, pixel_size_angstrom)
    places = np.rint(model.positions[:, ::-1] / pixel_size_angstrom).astype(int) + box_size // 2
    places = np.clip(places, 0, box_size - 1)
    whole += np.float32(OUTSIDE * float(np.median(whole[tuple(places.T)])))
    return [
        np.minimum(render(_only(wide, members), box_size, pixel_size_angstrom) / whole, 1.0)
        for members in bodies
    ]


def _only(model: GaussianModel, members: NDArray[np.int64]) -> GaussianModel:
    return GaussianModel(model.positions[members], model.amplitudes[members], model.widths[members])


def blended(background: Map, maps: Sequence[Map], weights: Sequence[Map]) -> Map:
    """Every voxel from the maps by their weights, and what is left from the background."""
    whole = np.array(background, dtype=np.float32)
    for density, weight in zip(maps, weights, strict=True):
        whole += weight * (density - background)
    return whole
