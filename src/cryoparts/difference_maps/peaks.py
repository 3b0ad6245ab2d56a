"""Peaks of a difference map, with the part, chain and residue that they lie in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import label
from skimage.feature import peak_local_max

from cryoparts.difference_maps.surroundings import points_of_voxels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.difference_maps.difference_map import DifferenceMap
    from cryoparts.difference_maps.surroundings import Surroundings

    FloatArray = NDArray[np.float64]

SPACING_IN_RESOLUTIONS = 1.5
"""Peaks nearer to a higher one than this many times the resolution are not listed."""

_SHARE_LISTED = 0.05
"""Chains and parts with a smaller share of a region's voxels are not named."""


@dataclass(frozen=True)
class Peak:
    """A local extremum of a difference map within a significant region.

    Parameters
    ----------
    gained : bool
        Whether the first state has more there.
    position : array, shape (3,)
        (x, y, z) about the box centre, Å.
    z_score, density : float
    region : int
        Number of the connected significant region, 1 being the largest.
    region_volume : float
        Å³.
    part : str
        Of the nearest Gaussian.
    gaussian_distance : float
        Å.
    chain, residue_name : str
        Of the nearest atom; empty where the model was not a structure.
    residue_number : int or None
    atom_distance : float or None
        Å.
    region_parts, region_chains : str
        What the region's voxels lie nearest to, in per cent: "L 62, M 38".
    """

    gained: bool
    position: FloatArray
    z_score: float
    density: float
    region: int
    region_volume: float
    part: str
    gaussian_distance: float
    chain: str
    residue_name: str
    residue_number: int | None
    atom_distance: float | None
    region_parts: str
    region_chains: str


def find_peaks(difference: DifferenceMap, surroundings: Surroundings) -> list[Peak]:
    """Peaks of every significant region, the largest region first, highest |z| first.

    Regions smaller than a ball as wide as the resolution are left out.

    Parameters
    ----------
    difference : DifferenceMap
    surroundings : Surroundings
    """
    if difference.z_score is None:
        return []
    box, pixel = len(difference.density), difference.pixel_size_angstrom
    resolution = difference.resolution_angstrom
    smallest = np.pi / 6 * (resolution / pixel) ** 3
    peaks: list[Peak] = []
    regions = significant_regions(difference, smallest)
    spacing = max(1, round(SPACING_IN_RESOLUTIONS * resolution / pixel))
    for number, region in enumerate(regions, start=1):
        voxels = np.argwhere(region)
        parts, chains = _shares(points_of_voxels(voxels, box, pixel), surroundings)
        gained = bool(difference.z_score[region].mean() > 0)
        height = difference.z_score if gained else -difference.z_score
        tops = peak_local_max(
            np.where(region, height, 0.0),
            min_distance=spacing,
            labels=region.astype(np.int32),
            exclude_border=False,
        )
        for top in tops:
            place = points_of_voxels(top, box, pixel)[0]
            at = tuple(int(v) for v in top)
            peaks.append(
                _described(
                    place,
                    gained=gained,
                    z_score=float(difference.z_score[at]),
                    density=float(difference.density[at]),
                    region=number,
                    region_volume=len(voxels) * pixel**3,
                    region_parts=parts,
                    region_chains=chains,
                    surroundings=surroundings,
                )
            )
    return peaks


def significant_regions(
    difference: DifferenceMap, smallest_voxels: float
) -> list[NDArray[np.bool_]]:
    """Connected significant voxels of one sign (26 neighbours), the largest region first."""
    found = []
    for sign in (1, -1):
        chosen = difference.significant & (sign * difference.density > 0)
        pieces, count = label(chosen, structure=np.ones((3, 3, 3), dtype=np.int8))
        found += [pieces == k for k in range(1, count + 1)]
    large = [region for region in found if region.sum() >= smallest_voxels]
    return sorted(large, key=lambda region: -int(region.sum()))


def _described(
    place: FloatArray,
    *,
    gained: bool,
    z_score: float,
    density: float,
    region: int,
    region_volume: float,
    region_parts: str,
    region_chains: str,
    surroundings: Surroundings,
) -> Peak:
    labels, distances = surroundings.nearest_gaussians(place[None])
    chain, residue, number, to_atom = "", "", None, None
    if surroundings.atoms is not None:
        index, apart = surroundings.nearest_atoms(place[None])
        atoms = surroundings.atoms
        chain, residue = str(atoms.chains[index[0]]), str(atoms.residue_names[index[0]])
        number, to_atom = int(atoms.residue_numbers[index[0]]), float(apart[0])
    return Peak(
        gained=gained,
        position=place,
        z_score=z_score,
        density=density,
        region=region,
        region_volume=region_volume,
        part=surroundings.name(int(labels[0])),
        gaussian_distance=float(distances[0]),
        chain=chain,
        residue_name=residue,
        residue_number=number,
        atom_distance=to_atom,
        region_parts=region_parts,
        region_chains=region_chains,
    )


def _shares(points: FloatArray, surroundings: Surroundings) -> tuple[str, str]:
    """Parts and chains of a region's voxels, in per cent, the largest first."""
    labels, _ = surroundings.nearest_gaussians(points)
    parts = _in_words(np.array([surroundings.name(int(k)) for k in labels]))
    if surroundings.atoms is None:
        return parts, ""
    index, _ = surroundings.nearest_atoms(points)
    return parts, _in_words(surroundings.atoms.chains[index])


def _in_words(names: NDArray[np.str_]) -> str:
    values, counts = np.unique(names, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    share = counts[order] / counts.sum()
    shown = [
        f"{values[k]} {100 * s:.0f}"
        for k, s in zip(order, share, strict=True)
        if s >= _SHARE_LISTED
    ]
    return ", ".join(shown)
