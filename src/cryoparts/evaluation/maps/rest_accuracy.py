"""Maps against the true structure at rest: map-model FSC within each true region."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.gaussians.density import render
from cryoparts.gaussians.model import GaussianModel
from cryoparts.imaging.shell_correlation import fourier_shell_correlation
from cryoparts.imaging.soft_mask import mask_around
from cryoparts.reconstruction.fsc import resolution_at
from cryoparts.simulation.atom_projection import ATOM_WIDTH_ANGSTROM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cryoparts.simulation.ground_truth import MotionTruth

    FloatArray = NDArray[np.float64]
    Map = NDArray[np.float32]

MODEL_THRESHOLD = 0.5
"""Of a map's FSC with the truth: the 0.143 of two half maps is 0.5 of one map with the truth
(Rosenthal & Henderson 2003, J. Mol. Biol. 333, 721)."""

ATOM_RADIUS_ANGSTROM = 4.0
"""About an atom, within a region's mask."""

EDGE_PIXELS = 6.0

STILL = "still"
"""Name of what stays, in tables."""


def zone_of(region: str) -> str:
    """What a region is judged with: itself, or the zone of a bend's slab ("upper_slab_7")."""
    return re.sub(r"_slab_\d+$", "", region)


@dataclass(frozen=True)
class RestStructure:
    """The true density at rest, and a soft mask of each of its regions.

    Parameters
    ----------
    density : float32 array, shape (D, D, D)
    masks : dict of str to float32 array, shape (D, D, D)
        What stays first, then each region that moves, or third of a bend.
    """

    density: Map
    masks: dict[str, Map]

    @classmethod
    def of(cls, truth: MotionTruth, box_size: int, pixel_size_angstrom: float) -> RestStructure:
        """Draw the atoms before any motion.

        Parameters
        ----------
        truth : MotionTruth
        box_size : int
        pixel_size_angstrom : float
        """
        atoms = GaussianModel.of(
            truth.atom_positions,
            truth.atom_masses,
            np.full(len(truth.atom_masses), ATOM_WIDTH_ANGSTROM),
        )
        zones = np.array([STILL, *(zone_of(str(name)) for name in truth.region_names)])
        of_atoms = zones[truth.atom_region]
        masks = {
            zone: mask_around(
                truth.atom_positions[of_atoms == zone],
                box_size,
                pixel_size_angstrom,
                radius_angstrom=max(ATOM_RADIUS_ANGSTROM, pixel_size_angstrom),
                edge_pixels=EDGE_PIXELS,
            )
            for zone in dict.fromkeys(zones.tolist())
            if (of_atoms == zone).any()
        }
        return cls(render(atoms, box_size, pixel_size_angstrom), masks)


@dataclass(frozen=True)
class RegionAccuracy:
    """One region of several maps against the truth.

    Parameters
    ----------
    region : str
    frequency : dict of str to float
        Of each map: where its FSC with the truth falls below 0.5, 1/Å; 0 where it never is above.
    area_shells : dict of str to float
        Of each map: area under its FSC with the truth, shells.
    """

    region: str
    frequency: dict[str, float]
    area_shells: dict[str, float]

    def share_of_the_way(self, of: str, start: str = "consensus", end: str = "oracle") -> float:
        """How far a map's crossing has come from one map's to another's; NaN where these agree.

        Parameters
        ----------
        of : str
            The map.
        start, end : str
        """
        way = self.frequency[end] - self.frequency[start]
        return (self.frequency[of] - self.frequency[start]) / way if way > 0 else float("nan")


def model_fsc(density: Map, truth: RestStructure, region: str) -> FloatArray:
    """FSC of a map with the true density within a region's mask, per shell 0 ... D // 2."""
    mask = truth.masks[region]
    return np.asarray(fourier_shell_correlation(density * mask, truth.density * mask))


def region_accuracies(
    maps: Mapping[str, Map], truth: RestStructure, pixel_size_angstrom: float
) -> list[RegionAccuracy]:
    """Every map in every region.

    Parameters
    ----------
    maps : mapping of str to float32 array, shape (D, D, D)
        Not filtered, by name.
    truth : RestStructure
    pixel_size_angstrom : float
    """
    found = []
    for region in truth.masks:
        curves = {name: model_fsc(density, truth, region) for name, density in maps.items()}
        frequency = {}
        for name, curve in curves.items():
            resolution = resolution_at(
                curve, len(truth.density), pixel_size_angstrom, MODEL_THRESHOLD
            )
            frequency[name] = 0.0 if resolution is None else 1 / resolution
        area = {name: float(np.nan_to_num(curve[1:]).sum()) for name, curve in curves.items()}
        found.append(RegionAccuracy(region, frequency, area))
    return found
