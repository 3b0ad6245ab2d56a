"""Where a model map lies in the particles' box, and how large its voxels are.

A map of the particles' own side has its centre voxel at the box centre, whatever its header
says of the origin: that only refers it to the user's atomic models. A map of another side
was cut or padded; then the header's origin (or start, NSTART) says where it was cut, if
with it the map fits the box: counted from the corner of the box or from its centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.conventions import box_centre
from cryoparts.io.mrc import DensityMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.gaussians.placement import Origin

SAME_SIDE = 0.01
"""Relative difference of side lengths and pixel sizes that counts as none."""
SLACK_VOXELS = 1.5
"""A cut may reach over the box's edge by this much: programs round origins."""
UNSET_VOXEL = 1.0
"""Voxel size, Å, that many programs write where they know none."""


@dataclass(frozen=True)
class PlacedMap:
    """How a map lies in the particles' box.

    Parameters
    ----------
    voxel_size : float
        Å.
    shift : array, shape (3,)
        (x, y, z) of the map's centre voxel about the box centre, Å.
    box_centre : array, shape (3,)
        (x, y, z) of the box centre in the coordinates of the map's header, Å.
    notes : tuple of str
        What was assumed.
    """

    voxel_size: float
    shift: NDArray[np.float64]
    box_centre: NDArray[np.float64]
    notes: tuple[str, ...]


def plausible_voxel(
    side_voxels: int, voxel: float, box_size: int, pixel_size: float
) -> tuple[float, str | None]:
    """The voxel size, Å, where 1.0 and 0 of a header may mean that it was never set.

    Parameters
    ----------
    side_voxels : int
        Longest side of the map.
    voxel : float
        Of the header, Å; 0 where unset.
    box_size : int
    pixel_size : float
        Of the particles, Å.

    Returns
    -------
    voxel : float
    note : str or None
        What was assumed, if the header's was not taken.
    """
    unset = voxel <= 0 or abs(voxel - UNSET_VOXEL) < 1e-3
    fits = voxel > 0 and (
        abs(voxel / pixel_size - 1) <= SAME_SIDE
        or abs(side_voxels * voxel / (box_size * pixel_size) - 1) <= SAME_SIDE
    )
    if not unset or fits:
        return voxel, None
    taken = float(f"{box_size * pixel_size / side_voxels:.6g}")
    return taken, (
        f"the header's voxel size of {voxel:g} Å contradicts the particles (box {box_size} pixels "
        f"of {pixel_size:g} Å) and counts as not set: {taken:g} Å is taken, the box's side over "
        f"{side_voxels} voxels; --model-pixel-size says otherwise"
    )


def padded_to_cube(found: DensityMap, voxel: float) -> DensityMap:
    """A map with zeros about it, so that all sides are as long as its longest.

    Its centre voxel n // 2 becomes that of the cube along each axis.

    Parameters
    ----------
    found : DensityMap
    voxel : float
        Å.
    """
    shape = np.array(found.density.shape)
    side = int(shape.max())
    before = side // 2 - shape // 2
    widths = np.stack([before, side - shape - before], axis=1)
    origin = found.origin - before[::-1] * voxel
    return DensityMap(np.pad(found.density, widths), found.voxel_size, origin)


def place_map(
    shape: tuple[int, ...],
    voxel: float,
    origin: NDArray[np.float64],
    box_size: int,
    pixel_size: float,
    choice: Origin = "auto",
) -> PlacedMap:
    """Find where a map lies in the particles' box.

    Parameters
    ----------
    shape : tuple of 3 ints
        (z, y, x), voxels.
    voxel : float
        Å.
    origin : array, shape (3,)
        (x, y, z) of voxel (0, 0, 0) in the header, Å.
    box_size, pixel_size
        Of the particles.
    choice : {"auto", "corner", "centre"}
        What the origin is counted from; by default what makes the map fit, the corner first.
    """
    size = np.array(shape[::-1], dtype=np.float64)
    middle = (size // 2) * voxel
    extent = box_size * pixel_size
    centred = PlacedMap(voxel, np.zeros(3), origin + middle, ())
    if choice == "auto" and (np.abs(size * voxel / extent - 1) <= SAME_SIDE).all():
        return centred
    told = ", ".join(f"{v:g}" for v in origin)
    corner = float(box_centre(box_size)) * pixel_size
    frames = {"corner": np.full(3, corner), "centre": np.zeros(3)}
    if choice != "auto":
        note = f"placed by its origin ({told}) Å from the box's {choice}, as asked"
        return PlacedMap(voxel, origin + middle - frames[choice], frames[choice], (note,))
    if origin.any():
        fitting = [n for n, centre in frames.items() if _fits(origin - centre, size, voxel, extent)]
        if fitting:
            name = fitting[0]
            other = "; from its centre it would fit, too (--model-origin centre)"
            note = (
                f"cut out of the box: placed by its origin ({told}) Å from the box's {name}"
                f"{other if len(fitting) > 1 else ''}"
            )
            return PlacedMap(voxel, origin + middle - frames[name], frames[name], (note,))
        note = f"its origin ({told}) Å does not make it fit the particles' box: centred in the box"
        return PlacedMap(voxel, centred.shift, centred.box_centre, (note,))
    return PlacedMap(
        voxel,
        centred.shift,
        centred.box_centre,
        ("smaller or larger than the box, without an origin: centred in the box",),
    )


def _fits(
    first: NDArray[np.float64], size: NDArray[np.float64], voxel: float, extent: float
) -> bool:
    """Whether a map with voxel (0, 0, 0) at `first` about the box centre lies within the box."""
    slack = SLACK_VOXELS * voxel
    low, high = first, first + size * voxel
    return bool((low >= -0.5 * extent - slack).all() and (high <= 0.5 * extent + slack).all())
