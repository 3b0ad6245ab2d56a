"""How much of each part, chain and residue range a difference map shows as changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.difference_maps.surroundings import points_of_voxels, voxels_of_points

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.difference_maps.difference_map import DifferenceMap
    from cryoparts.difference_maps.surroundings import Surroundings


@dataclass(frozen=True)
class Change:
    """A part or a chain, and how much of it changed.

    Parameters
    ----------
    kind : str
        "part" or "chain".
    name : str
    sites : int
        Gaussians of the part, or atoms of the chain.
    gained, lost : float
        Share of the sites in significant voxels where the first state has more, or less.
    mean_z : float
        Over all sites.
    """

    kind: str
    name: str
    sites: int
    gained: float
    lost: float
    mean_z: float


def changes(difference: DifferenceMap, surroundings: Surroundings) -> list[Change]:
    """Parts in their order, then chains by how much of them changed.

    Parameters
    ----------
    difference : DifferenceMap
    surroundings : Surroundings
    """
    if difference.z_score is None:
        return []
    labels = surroundings.labels
    found = [
        _change("part", surroundings.name(int(k)), surroundings.positions[labels == k], difference)
        for k in np.unique(labels)
    ]
    if surroundings.atoms is not None:
        atoms = surroundings.atoms
        chains = [
            _change("chain", str(c), atoms.positions[atoms.chains == c], difference)
            for c in np.unique(atoms.chains)
        ]
        found += sorted(chains, key=lambda c: -(c.gained + c.lost))
    return found


def _change(kind: str, name: str, points: NDArray[np.float64], difference: DifferenceMap) -> Change:
    assert difference.z_score is not None
    box, pixel = len(difference.density), difference.pixel_size_angstrom
    at = tuple(voxels_of_points(points, box, pixel).T)
    significant = difference.significant[at]
    z = difference.z_score[at].astype(np.float64)
    return Change(
        kind,
        name,
        len(points),
        float((significant & (z > 0)).mean()),
        float((significant & (z < 0)).mean()),
        float(z.mean()),
    )


def power_by_part(difference: DifferenceMap, surroundings: Surroundings) -> dict[str, float]:
    """Share of the significant difference's power (sum of squares) nearest to each part."""
    voxels = np.argwhere(difference.significant)
    if not len(voxels):
        return {}
    box, pixel = len(difference.density), difference.pixel_size_angstrom
    labels, _ = surroundings.nearest_gaussians(points_of_voxels(voxels, box, pixel))
    power = np.square(difference.density[tuple(voxels.T)].astype(np.float64))
    shares = {
        surroundings.name(int(k)): float(power[labels == k].sum() / power.sum())
        for k in np.unique(labels)
    }
    return dict(sorted(shares.items(), key=lambda item: -item[1]))
