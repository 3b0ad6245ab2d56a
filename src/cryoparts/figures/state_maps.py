"""The maps of one part's states on one grid, with the levels at which they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import label
from skimage.filters import threshold_otsu

from cryoparts.errors import InputError
from cryoparts.io.mrc import read_map

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.figures.part_states import PartStates

    FloatArray = NDArray[np.float64]
    Volume = NDArray[np.float32]

DIFFERENCE_SHARE = 0.4
"""A difference is drawn where it exceeds this share of the maps' contour level."""

DIFFERENCE_SIGMAS = 5.0
"""... and this many standard deviations of its noise."""


OTSU_SHARE = 0.8
DUST_SHARE = 0.01
"""Pieces of a surface with less than this share of the largest one's voxels are not drawn."""


@dataclass(frozen=True)
class Difference:
    """A difference map, and the level beyond which it is drawn, both ways."""

    volume: Volume
    level: float


@dataclass(frozen=True)
class StateMaps:
    """Maps [z, y, x] of the states of a part.

    Parameters
    ----------
    label : int
        The part.
    voxel_size : float
        Å.
    states : dict
        Map of each state.
    differences : dict
        Difference of each pair (one, other) of states: one minus other.
    levels : dict
        Contour level of each state: one level of what all states have in
        common, so that sizes compare though the maps are scaled differently.
    """

    label: int
    voxel_size: float
    states: dict[int, Volume]
    differences: dict[tuple[int, int], Difference]
    levels: dict[int, float]

    @property
    def centre(self) -> int:
        """Voxel of the origin of coordinates."""
        return int(next(iter(self.states.values())).shape[0]) // 2

    def to_angstrom(self, zyx: FloatArray) -> FloatArray:
        """(x, y, z) about the box centre, Å, of voxel coordinates (z, y, x)."""
        xyz: FloatArray = (zyx[:, ::-1] - self.centre) * self.voxel_size
        return xyz


def read_state_maps(part: PartStates) -> StateMaps | None:
    """Read a part's maps; None where they have not been made.

    Raises
    ------
    InputError
        If a map cannot be read, or the maps differ in shape.
    """
    if not part.maps:
        return None
    read = {state: read_map(path) for state, path in part.maps.items()}
    states = {state: found.density for state, found in read.items()}
    first = next(iter(states.values()))
    changed = {pair: read_map(path).density for pair, path in part.differences.items()}
    for path, volume in [
        *((part.maps[s], v) for s, v in states.items()),
        *((part.differences[p], v) for p, v in changed.items()),
    ]:
        if volume.shape != first.shape:
            raise InputError(
                str(path),
                f"has {volume.shape} voxels, the first state's map has {first.shape}",
                "Run `cryoparts reconstruct` again.",
            )
    levels = contour_levels(states)
    return StateMaps(
        part.label,
        next(iter(read.values())).voxel_size,
        states,
        {
            pair: Difference(
                changed[pair],
                difference_level(changed[pair], levels[pair[0]], part.difference_noise.get(pair)),
            )
            for pair in telling_pairs(list(states), list(changed))
        },
        levels,
    )


def telling_pairs(states: list[int], pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The pairs worth a look: the two extreme states first, then each with the next.

    States are numbered along what the part does, so other pairs are sums of these.
    """
    first, last = min(states), max(states)
    shown = [p for p in pairs if p in {(first, last), (last, first)}]
    neighbours = sorted(p for p in pairs if p not in shown and abs(p[0] - p[1]) == 1)
    return shown + [p for p in neighbours if p[0] in states and p[1] in states]


def without_dust(volume: Volume, level: float) -> Volume:
    """The map with small separate pieces above `level` cut down below it."""
    pieces, count = label(volume > level)
    if count < 2:
        return volume
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    dust = (sizes < DUST_SHARE * sizes.max())[pieces] & (pieces > 0)
    # half the level, not zero: the surface of what remains must not be touched
    cleaned: Volume = np.where(dust, np.float32(0.5 * level), volume)
    return cleaned


def contour_levels(states: dict[int, Volume]) -> dict[int, float]:
    """A contour level for each state, in proportion to its density where all have density."""
    volumes = list(states.values())
    level = contour_level(np.mean(volumes, axis=0))
    common = np.min(volumes, axis=0) > 0.5 * level
    if level <= 0 or not common.any():
        return dict.fromkeys(states, level)
    means = {state: float(volume[common].mean()) for state, volume in states.items()}
    typical = float(np.mean(list(means.values())))
    return {state: level * mean / typical for state, mean in means.items()}


def contour_level(volume: Volume) -> float:
    """Density between solvent and molecule: from Otsu's method (1979) on the positive voxels.

    A little below the middle that the method finds, because parts that many
    particles lack have less density than the rest.
    """
    positive = volume[volume > 0]
    if not len(positive) or float(np.ptp(positive)) == 0.0:
        return 0.0
    # most voxels are solvent: without their tail the two classes are alike in size
    candidates = positive[positive > float(np.quantile(positive, 0.5))]
    return OTSU_SHARE * float(threshold_otsu(candidates if len(candidates) > 1 else positive))


def difference_level(volume: Volume, map_level: float, noise: float | None) -> float:
    """Level of a difference map that noise (its standard deviation, if known) does not reach."""
    spread = noise or float(np.median(np.abs(volume - np.median(volume)))) * 1.4826
    return max(DIFFERENCE_SHARE * map_level, DIFFERENCE_SIGMAS * spread)
