"""A soft mask of each part, as RELION and cryoSPARC take them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.imaging.soft_mask import mask_around
from cryoparts.io.map_frame import ABOUT_BOX_CENTRE, MapFrame
from cryoparts.parts.part_labels import CORE

if TYPE_CHECKING:
    from pathlib import Path

    from cryoparts.config.steps import MaskOptions
    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.parts.part_labels import PartLabels

RADIUS_IN_WIDTHS = 2.0
"""Default radius about a Gaussian: 95% of its mass along any line lies within."""


def write_part_masks(
    folder: Path,
    model: GaussianModel,
    labels: PartLabels,
    box_size: int,
    pixel_size_angstrom: float,
    options: MaskOptions,
    frame: MapFrame = ABOUT_BOX_CENTRE,
) -> list[Path]:
    """Write part_k.mrc of every part, and core.mrc, into a folder.

    They lie in the coordinates of `frame`, as the run's other maps; RELION and
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
    frame : MapFrame
        By default the box centre is at (0, 0, 0) Å.

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
        mask = mask_around(
            model.positions[members],
            box,
            pixel,
            radius_angstrom=radius,
            edge_pixels=options.edge_pixels,
        )
        path = folder / ("core.mrc" if part == CORE else f"part_{part}.mrc")
        frame.write(path, mask, pixel)
        written.append(path)
    return written
