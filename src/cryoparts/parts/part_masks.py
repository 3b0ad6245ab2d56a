"""A soft mask of each part, as RELION and cryoSPARC take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import distance_transform_edt

from cryoparts.conventions import box_centre
from cryoparts.errors import InputError
from cryoparts.io.mrc import write_map
from cryoparts.parts.part_labels import CORE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.parts.part_labels import PartLabels

    Mask = NDArray[np.float32]

RADIUS_IN_WIDTHS = 2.0
"""Default radius about a Gaussian: 95% of its mass along any line lies within."""


@dataclass(frozen=True)
class MaskOptions:
    """Shape and frame of the masks."""

    box_size: int | None = None
    """Box of the masks, pixels. Default: that of the original particles."""

    pixel_size_angstrom: float | None = None
    """Pixel size of the masks, Å. Default: that of the original particles."""

    radius_angstrom: float | None = None
    """How far a mask reaches from the centres of the part's Gaussians, Å. Default:
    twice the typical width of a Gaussian, at least a pixel."""

    edge_pixels: float = 6.0
    """Width of the cosine edge outside, pixels."""

    def __post_init__(self) -> None:
        """Check the limits; raises InputError."""
        for option, value in (
            ("--box-size", self.box_size),
            ("--pixel-size", self.pixel_size_angstrom),
            ("--radius", self.radius_angstrom),
        ):
            if value is not None and not value > 0:
                raise InputError(option, f"must be positive, got {value!r}", "Leave it out.")
        if not self.edge_pixels >= 0:
            raise InputError(
                "--edge-pixels", f"must be at least 0, got {self.edge_pixels!r}", "6 is usual."
            )


def soft_mask(
    positions: ArrayLike,
    box_size: int,
    pixel_size_angstrom: float,
    *,
    radius_angstrom: float,
    edge_pixels: float = 6.0,
) -> Mask:
    """1 within a radius of any of the points, a cosine edge, 0 beyond.

    Parameters
    ----------
    positions : array, shape (n, 3)
        (x, y, z) about the box centre, voxel D // 2, Å.
    box_size : int
    pixel_size_angstrom : float
    radius_angstrom : float
    edge_pixels : float
        Width of the edge, outside the radius.

    Returns
    -------
    array, shape (D, D, D)
        float32 [z, y, x], from 0 to 1. Only the region about the points is worked
        on, so large boxes cost no more than small ones.
    """
    mask = np.zeros((box_size,) * 3, dtype=np.float32)
    points = np.asarray(positions, dtype=np.float64)[:, ::-1] / pixel_size_angstrom
    points = points + box_centre(box_size)
    radius = radius_angstrom / pixel_size_angstrom
    margin = radius + edge_pixels + 1
    low = np.clip(np.floor(points.min(axis=0) - margin).astype(int), 0, box_size)
    high = np.clip(np.ceil(points.max(axis=0) + margin).astype(int) + 1, 0, box_size)
    shape = tuple((high - low).tolist())
    if min(shape) < 1:
        return mask
    inside = _union_of_balls(points - low, radius, shape)
    # voxels are counted from their centres: the first one outside is half a pixel out
    outside = np.maximum(distance_transform_edt(~inside) - 0.5, 0.0)
    fraction = np.clip(outside / max(edge_pixels, 1e-6), 0.0, 1.0)
    values = np.where(inside, 1.0, 0.5 + 0.5 * np.cos(np.pi * fraction))
    region = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    mask[region] = values
    return mask


def write_part_masks(
    folder: Path,
    model: GaussianModel,
    labels: PartLabels,
    box_size: int,
    pixel_size_angstrom: float,
    options: MaskOptions,
) -> list[Path]:
    """Write part_k.mrc of every part, and core.mrc, into a folder.

    The box centre is at (0, 0, 0) Å, as in the run's other maps; RELION and
    cryoSPARC go by the voxels alone.

    Parameters
    ----------
    folder : Path
        Made if absent.
    model : GaussianModel
    labels : PartLabels
    box_size, pixel_size_angstrom
        Of the original particles, in place of options that are not given.
    options : MaskOptions

    Raises
    ------
    InputError
        If a part does not fit in the box.
    """
    box = options.box_size or box_size
    pixel = options.pixel_size_angstrom or pixel_size_angstrom
    radius = options.radius_angstrom
    if radius is None:
        radius = max(RADIUS_IN_WIDTHS * float(np.median(model.widths)), pixel)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for part in range(labels.n_parts + 1):
        members = labels.members(part)
        if not members.any():
            continue
        reach = float(np.abs(model.positions[members]).max())
        if reach > 0.5 * box * pixel:
            raise InputError(
                "--box-size",
                f"{labels.name(part)} reaches {reach:.0f} Å from the centre, the box of {box} "
                f"pixels of {pixel:g} Å {0.5 * box * pixel:.0f} Å",
                "Choose a larger box.",
            )
        mask = soft_mask(
            model.positions[members],
            box,
            pixel,
            radius_angstrom=radius,
            edge_pixels=options.edge_pixels,
        )
        path = folder / ("core.mrc" if part == CORE else f"part_{part}.mrc")
        corner = -box_centre(box) * pixel
        write_map(path, mask, pixel, origin_angstrom=(corner, corner, corner))
        written.append(path)
    return written


def _union_of_balls(
    points: NDArray[np.float64], radius: float, shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Voxels whose centre is within the radius of a point; at least the nearest one of each."""
    inside = np.zeros(shape, dtype=bool)
    reach = int(np.ceil(radius)) + 1
    axis = np.arange(-reach, reach + 1)
    offsets = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    size = np.array(shape)
    for point in points:
        nearest = np.rint(point).astype(int)
        voxels = nearest + offsets
        near = ((voxels - point) ** 2).sum(axis=1) <= radius**2
        near |= (offsets == 0).all(axis=1)
        voxels = voxels[near]
        z, y, x = voxels[((voxels >= 0) & (voxels < size)).all(axis=1)].T
        inside[z, y, x] = True
    return inside
